/** How long to wait before the next try, after each failure longer. */
export interface Backoff {
  /** Milliseconds until the next try, with a random part, so that nodes do not try in step. */
  next(): number;
  /** After a success. */
  reset(): void;
}

/** Doubles from `firstMs` up to `longestMs`; each pause is between half and one and a half of that. */
export const createBackoff = (
  firstMs: number,
  longestMs: number,
  random: () => number = Math.random,
): Backoff => {
  let pauseMs = firstMs;
  return {
    next: () => {
      const jittered = pauseMs * (0.5 + random());
      pauseMs = Math.min(pauseMs * 2, longestMs);
      return jittered;
    },
    reset: () => {
      pauseMs = firstMs;
    },
  };
};
