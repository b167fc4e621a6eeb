import { expect, test } from 'vitest';
import { parseMac, randomMac } from './mac.ts';

test('random addresses are unicast, locally administered, and differ', () => {
  const macs = Array.from({ length: 2000 }, randomMac);
  for (const mac of macs) {
    expect(mac).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
    expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
  }
  expect(new Set(macs).size).toBe(macs.length);
});

test.each([
  ['02:AB:cd:00:11:ff', '02:ab:cd:00:11:ff'],
  ['02-ab-cd-00-11-ff', '02:ab:cd:00:11:ff'],
  ['02ab.cd00.11FF', '02:ab:cd:00:11:ff'],
])('parseMac(%j)', (text, mac) => {
  expect(parseMac(text)).toBe(mac);
});

test.each([
  '',
  '02:ab:cd:00:11',
  '02:ab:cd:00:11:ff:00',
  '2:ab:cd:0:11:ff',
  '02:ab-cd:00-11:ff',
  '02abcd0011ff',
  '02:ab:cd:00:11:fg',
  ' 02:ab:cd:00:11:ff',
  '02:ab:cd:00:11:ff\n',
  '02ab.cd00:11ff',
])('parseMac(%j) refuses', (text) => {
  expect(parseMac(text)).toBeUndefined();
});
