import { CniError, ErrorCode, toCniError } from '../cni/errors.ts';

/** CniError 5 for a failed file operation: what was tried, the system's word, and its errno's advice. */
export const ioFailure = (action: string, cause: unknown): CniError => {
  if (cause instanceof CniError) return cause;
  const { message, details } = toCniError(cause);
  return new CniError(ErrorCode.ioFailure, `cannot ${action}: ${message}`, { details, cause });
};

/** True when a file operation failed with one of these errno names. */
export const failedWith = (error: unknown, ...codes: string[]): boolean =>
  codes.includes((error as { code?: string } | null)?.code ?? '');
