import { expect, test } from 'vitest';
import { bar, barStyle, percent } from './bar.ts';

test.for([
  [0, 8, '░░░░'],
  [8, 8, '████'],
  [4, 8, '██░░'],
  [1, 8, '▌░░░'],
  [1, 1_000_000, '▏░░░'],
  [999_999, 1_000_000, '███▉'],
  [9, 8, '████'],
  [0, 0, '░░░░'],
  [5, 0, '░░░░'],
] as const)('%d of %d', ([part, whole, expected]) => expect(bar(part, whole, 4)).toBe(expected));

test.for([
  [{}, '██░░'],
  [{ LANG: 'en_US.UTF-8' }, '██░░'],
  [{ LANG: 'en_US.ISO-8859-1' }, '##..'],
  [{ LANG: 'en_US.UTF-8', LC_ALL: 'C' }, '##..'],
  [{ LANG: '', LC_CTYPE: 'C.utf8' }, '██░░'],
  [{ TERM: 'dumb' }, '##..'],
] as const)('with %j', ([environment, expected]) =>
  expect(bar(1, 2, 4, barStyle(environment as NodeJS.ProcessEnv))).toBe(expected),
);

test('in ASCII little shows, too', () => {
  const style = barStyle({ LC_ALL: 'C' } as unknown as NodeJS.ProcessEnv);
  expect([bar(1, 1000, 4, style), bar(999, 1000, 4, style)]).toEqual(['#...', '###.']);
});

test('little is not nothing, and all is all', () => {
  expect([percent(0, 10), percent(1, 1000), percent(5, 10), percent(10, 10), percent(1, 0)]).toEqual([
    '0 %',
    '<1 %',
    '50 %',
    '100 %',
    '–',
  ]);
});
