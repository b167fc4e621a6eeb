import fc from 'fast-check';
import { expect, test } from 'vitest';
import { failureOf } from './failure.ts';
import { backoffMs, pause, pauseAfter } from './pause.ts';
import { nodesResource } from './resource.ts';

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

test('a pause is as long as the server asks, or longer', () => {
  const refused = (retryAfter: string | null) =>
    failureOf({ verb: 'list', resource: nodesResource }, 429, '', {
      retryAfter,
      source: '',
      credentials: '',
    });
  const pauses = { first: 100, most: 3000 };
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (random) => {
      const asked = pauseAfter(refused('7'), 0, pauses, () => random);
      expect(asked).toBeGreaterThanOrEqual(7000);
      expect(asked).toBeLessThanOrEqual(8750);
      for (const other of [null, '0', 'Fri, 31 Dec 1999 23:59:59 GMT']) {
        expect(pauseAfter(refused(other), 0, pauses, () => random)).toBe(backoffMs(0, pauses, () => random));
      }
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
