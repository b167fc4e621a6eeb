import { expect, test } from 'vitest';
import { compareVersions } from './version-order.ts';

// The order of semver.org, section 11, with the worse ones before and what is no version first of all.
const ascending = [
  'dev',
  '0.0.9',
  '0.1.0-alpha',
  '0.1.0-alpha.1',
  '0.1.0-alpha.beta',
  '0.1.0-beta.2',
  '0.1.0-beta.11',
  '0.1.0-rc.1',
  '0.1.0',
  '0.2.0',
  '0.10.0',
  'v1.0.0',
  '10.0.0',
];

test('every one against every other', () => {
  for (const [i, one] of ascending.entries()) {
    for (const [j, other] of ascending.entries()) {
      expect(Math.sign(compareVersions(one, other)), `${one} against ${other}`).toBe(Math.sign(i - j));
    }
  }
});

test('what was built how does not count', () => {
  expect(compareVersions('1.0.0+a', '1.0.0+b')).toBe(0);
});
