import { CniError, ErrorCode } from '../cni/errors.ts';
import {
  closeSync,
  constants,
  dirname,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
} from '../kernel/files.ts';
import { errno, libc, SystemError } from '../kernel/libc.ts';
import { failedWith, ioFailure } from './io-failure.ts';

export interface LockOptions {
  /** How long to wait for the lock, in ms; default 30000. */
  deadlineMs?: number;
  /** Called between two tries; throws when the call was interrupted. */
  checkpoint?: (() => Promise<void>) | undefined;
}

/**
 * Runs `body` while holding an exclusive flock(2) on `file`, which is made (with its directory) when
 * missing. The kernel frees the lock when the process dies, so it can't go stale, and it excludes the
 * reference plugins too, which lock the same way. The file stays: removing it would let two processes
 * lock two files of one name. Waiting is polling with growing, random pauses, because a blocking
 * flock could not be given a deadline. Throws CniError 11 at the deadline, 5 when the file can't be
 * opened or locked.
 */
export const withLock = async <T>(
  file: string,
  body: () => T | Promise<T>,
  options: LockOptions = {},
): Promise<T> => {
  const fd = openLockFile(file);
  try {
    if (!tryLock(fd, file)) {
      const lock = { what: `the lock ${file}`, holder: () => lockHolder(fd) };
      await pollForLock(() => tryLock(fd, file), lock, options);
    }
    return await body();
  } finally {
    closeSync(fd);
  }
};

/** How a lock that stays taken is told of. */
export interface LockDescription {
  /** The subject of "… was not free". */
  what: string;
  /** A sentence about who holds it, if that can be found out. */
  holder: () => string | undefined;
}

/**
 * Tries to take a lock, which was taken at the first try, again and again. Throws CniError 11 at the
 * deadline, and what the checkpoint throws.
 */
export const pollForLock = async (
  attempt: () => boolean,
  lock: LockDescription,
  { deadlineMs = 30_000, checkpoint }: LockOptions,
): Promise<void> => {
  const deadline = performance.now() + deadlineMs;
  for (let pause = firstPauseMs; ; pause = Math.min(pause * 1.5, longestPauseMs)) {
    await checkpoint?.();
    const remaining = deadline - performance.now();
    if (remaining <= 0) throw lockTimeout(lock, deadlineMs);
    await Bun.sleep(Math.min(pause * (0.5 + Math.random()), remaining));
    if (attempt()) return;
  }
};

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;
const firstPauseMs = 1;
const longestPauseMs = 10;

const openLockFile = (file: string): number => {
  const open = () => openSync(file, constants.O_RDONLY | constants.O_CREAT, 0o600);
  try {
    return open();
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw ioFailure(`open the lock ${file}`, error);
  }
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    return open();
  } catch (error) {
    throw ioFailure(`make the lock ${file}`, error);
  }
};

const tryLock = (fd: number, file: string): boolean => {
  if (libc().flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const reason = errno();
  if (reason === EWOULDBLOCK) return false;
  throw ioFailure(`lock ${file}`, new SystemError(reason, 'flock'));
};

const lockTimeout = ({ what, holder }: LockDescription, deadlineMs: number): CniError =>
  new CniError(ErrorCode.tryAgainLater, `${what} was not free within ${deadlineMs / 1000} s`, {
    details: `${holder() ?? 'Another process holds it.'} Try again later; if it never ends, see what that process waits for.`,
  });

/** Who holds the lock, from /proc/locks: `1: FLOCK  ADVISORY  WRITE 1234 fd:00:260072 0 EOF`. */
const lockHolder = (fd: number): string | undefined => {
  try {
    const suffix = `:${fstatSync(fd).ino}`;
    for (const line of readFileSync('/proc/locks').split('\n')) {
      const [, kind, , , pid, inode] = line.split(/\s+/);
      if (kind !== 'FLOCK' || inode?.endsWith(suffix) !== true) continue;
      return `Process ${pid} (${readFileSync(`/proc/${pid}/comm`).trim()}) holds it.`;
    }
  } catch {
    // No /proc, or the holder is gone by now.
  }
  return undefined;
};
