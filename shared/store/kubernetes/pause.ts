/** Resolves after `ms`, or at once when `signal` is aborted; never rejects. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
  });

/**
 * How long to wait before attempt `attempt` (0 for the first repetition), in ms: doubling from `first` up to `most`,
 * and anything between half and all of that, so that many who failed at once do not come back at once.
 */
export const backoffMs = (attempt: number, { first, most }: Backoff, random = Math.random): number => {
  const whole = Math.min(most, first * 2 ** Math.min(attempt, 30));
  return whole / 2 + (random() * whole) / 2;
};

/** As `backoffMs`, but at least what the server asked for, and not exactly that, as it asked all for the same. */
export const pauseAfter = (
  { retryAfterMs }: { retryAfterMs?: number | undefined },
  attempt: number,
  backoff: Backoff,
  random = Math.random,
): number => {
  const asked = retryAfterMs === undefined ? 0 : retryAfterMs * (1 + random() / 4);
  return Math.max(asked, backoffMs(attempt, backoff, random));
};

export interface Backoff {
  first: number;
  most: number;
}
