import { expect, test } from 'vitest';
import { type Reached, renderMatrix } from './matrix.ts';

test('a matrix of who reaches whom', () => {
  const cells: Record<string, Reached> = {
    ab: { '4': true, '6': true },
    ba: { '4': true, '6': false },
    aout: { '6': true },
  };
  expect(renderMatrix(['a', 'b'], ['a', 'b', 'out'], (row, column) => cells[row + column])).toBe(`\
    a   b  out
a   ·  46    6
b  4x   ·    ·`);
});
