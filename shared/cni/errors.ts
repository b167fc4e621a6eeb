/**
 * Error codes: 1 to 99 are the CNI specification's (SPEC.md, "Error"), from 100 on they are ours.
 * 999 is what the reference library uses for everything without a code of its own.
 */
export const ErrorCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidNetworkConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  /** A program we drive (`ip`, `nft`, `iptables`) is missing, failed or hung. */
  commandFailed: 100,
  /** The delegated plugin is missing, failed without an error object, or printed garbage. */
  delegateFailed: 101,
  /** No free address, or the requested one is taken or outside the ranges. */
  addressUnavailable: 102,
  /** Something of that name or address is there already and is not ours to change. */
  conflict: 103,
  /** The kernel lacks a feature that the configuration asks for. */
  unsupportedByKernel: 104,
  /** CHECK found the kernel or the store different from prevResult. */
  checkFailed: 105,
  /** The call was interrupted by a signal and undone. */
  interrupted: 106,
  internal: 999,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

export interface CniErrorOptions {
  /** What the reader can do about it, or what was observed. */
  details?: string | undefined;
  cause?: unknown;
}

/**
 * The one error a plugin call ends with. `message` names the key and the value that are at fault;
 * `details` say what to do. `code` is a number because a delegate's own codes are passed on. Both texts
 * may quote what a runtime, a configuration or a tool gave: whatever that is, `message` is one line of a
 * log, and neither is longer than a reader would bear.
 */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  readonly details: string | undefined;

  constructor(code: number, message: string, { details, cause }: CniErrorOptions = {}) {
    super(shortened(oneLine(message), longestMessage), cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details && shortened(details, longestDetails);
  }
}

/** In UTF-16 units. A tool's own messages, which are in `details`, are up to 4 KiB. */
const longestMessage = 900;
const longestDetails = 5000;

const oneLine = (text: string): string => text.replace(/\s*[\p{Cc}\u2028\u2029]+\s*/gu, ' ');

const shortened = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`;

/** Wraps whatever was thrown, once, at the edge of the process; a CniError passes as it is. */
export const toCniError = (thrown: unknown): CniError => {
  if (thrown instanceof CniError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const errno = (thrown as { code?: unknown } | null)?.code;
  if (typeof errno === 'string' && /^E[A-Z0-9]+$/.test(errno)) {
    return new CniError(ErrorCode.ioFailure, message, { details: errnoAdvice[errno], cause: thrown });
  }
  return new CniError(ErrorCode.internal, message, {
    details: 'This is a defect in podwire.',
    cause: thrown,
  });
};

const errnoAdvice: Record<string, string> = {
  ENOSPC: 'The disk is full: free some space, then try again.',
  EDQUOT: 'A disk quota is used up: free some space, then try again.',
  EROFS: 'The file system is read-only: mount it writable, or point dataDir somewhere that is.',
  EACCES: 'Permission denied: the plugin must run as root.',
  EPERM: 'Operation not permitted: the plugin needs CAP_NET_ADMIN and CAP_SYS_ADMIN.',
  EMFILE: 'Too many open files: raise the limit of the container runtime.',
  EFBIG: 'A file-size limit stopped the write: raise it for the container runtime.',
};
