import { CniError, toCniError } from '../cni/errors.ts';

/** One error for several: the first one's code, everybody's message. */
export const combineErrors = (errors: unknown[]): CniError | undefined => {
  const all = errors.map(toCniError);
  const [first] = all;
  if (first === undefined || all.length === 1) return first;
  return new CniError(first.code, all.map(({ message }) => message).join('; '), {
    details:
      all
        .map(({ details }) => details ?? '')
        .filter(Boolean)
        .join(' ') || undefined,
  });
};
