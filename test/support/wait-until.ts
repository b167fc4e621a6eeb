import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks every 20 ms until the answer is neither undefined nor false, and returns it.
 * Throws after `timeoutMs`, 10 000 unless given, naming what was waited for.
 */
export const waitUntil = async <T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 10_000,
): Promise<T> => {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`gave up after ${timeoutMs} ms waiting until ${what}`);
    await sleep(20);
  }
};
