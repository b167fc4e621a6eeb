import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs, pause } from './pause.ts';

test('pauses grow, are random, and stay within their bounds', () => {
  fc.assert(
    fc.property(fc.nat(2000), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
      const ms = backoffMs(attempt, { first: 100, most: 3000 }, () => random);
      const whole = Math.min(3000, 100 * 2 ** attempt);
      expect(ms).toBeGreaterThanOrEqual(whole / 2);
      expect(ms).toBeLessThanOrEqual(whole);
    }),
  );
});

test('a pause that is aborted ends', async () => {
  const end = new AbortController();
  const pausing = pause(3_600_000, end.signal);
  end.abort();
  await pausing;
  await pause(3_600_000, end.signal);
});
