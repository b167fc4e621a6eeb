/**
 * Waits for all of the works, also when one fails, so that nothing is under way any more when the first
 * failure is thrown.
 */
export const allDone = async (works: readonly Promise<unknown>[]): Promise<void> => {
  const outcomes = await Promise.allSettled(works);
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
};
