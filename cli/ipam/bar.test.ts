import { expect, test } from 'vitest';
import { bar, percent } from './bar.ts';

test.for([
  [0, 8, '    '],
  [8, 8, '████'],
  [4, 8, '██  '],
  [1, 8, '▌   '],
  [1, 1_000_000, '▏   '],
  [9, 8, '████'],
  [0, 0, '    '],
] as const)('%d of %d', ([part, whole, expected]) => expect(bar(part, whole, 4)).toBe(expected));

test('little is not nothing, and all is all', () => {
  expect([percent(0, 10), percent(1, 1000), percent(5, 10), percent(10, 10), percent(1, 0)]).toEqual([
    '0 %',
    '<1 %',
    '50 %',
    '100 %',
    '–',
  ]);
});
