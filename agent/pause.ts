/** Waits until the time (ms) has passed, `signal` is aborted or `event` has happened, whichever is first. */
export const pause = (ms: number, signal: AbortSignal, event?: Promise<void>): Promise<void> => {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    resolve();
  };
  const timer = setTimeout(end, ms);
  signal.addEventListener('abort', end);
  void event?.then(end);
  return promise;
};
