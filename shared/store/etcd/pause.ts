/** Waits `ms`, or until `signal` is aborted, whichever is first. */
export const paused = async (ms: number, signal: AbortSignal | undefined): Promise<void> => {
  if (signal?.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
};
