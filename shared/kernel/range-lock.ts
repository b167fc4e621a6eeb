import { readdirSync, readFileSync } from './files.ts';
import { errno, libc, SystemError } from './libc.ts';

/**
 * Bytes of a file that are locked, from `page * 2**32 + first` to `page * 2**32 + last`; they need not exist. In
 * two numbers, as a call's first arithmetic with BigInt costs more than the lock itself.
 */
export interface ByteRange {
  /** 31 bits. */
  page: number;
  /** 32 bits each. */
  first: number;
  last: number;
}

/**
 * Takes an exclusive lock on a range for the open file description `fd` (fcntl(2), "Open file description
 * locks"), or returns false when somebody else has a part of it. As flock(2), it belongs to the description,
 * so that a child that inherits `fd` keeps it when we die; unlike flock, one file serves any number of locks.
 * `fd` must be open for writing. Throws SystemError.
 */
export const tryLockRange = (fd: number, { page, first, last }: ByteRange): boolean => {
  const length = last - first + 1;
  const [lowerHalf, upperHalf] = length === 2 ** 32 ? [0, 1] : [length, 0];
  // struct flock: short type, short whence, padding, off_t start, off_t length, pid_t; the lower halves first.
  const lock = Uint32Array.of(F_WRLCK | (SEEK_SET << 16), 0, first, page, lowerHalf, upperHalf, 0, 0);
  if (libc().fcntl(fd, F_OFD_SETLK, lock) === 0) return true;
  const reason = errno();
  if (reason === EAGAIN || reason === EACCES) return false;
  throw new SystemError(reason, 'locking');
};

/** Gives up all locks of the description, also for the children that inherited it. */
export const unlockAll = (fd: number): void => {
  // From the first byte on, and with the length 0 to the last.
  libc().fcntl(fd, F_OFD_SETLK, Uint32Array.of(F_UNLCK | (SEEK_SET << 16), 0, 0, 0, 0, 0, 0, 0));
};

/**
 * A process that has a part of a range of the file `inode` locked by its descriptor `fd`; undefined when
 * there is none. The kernel's own list does not name the holders of such locks, so this looks at every
 * process, which is for error messages only.
 */
export const rangeHolder = (
  inode: bigint,
  { page, first, last }: ByteRange,
  fd: number,
): { pid: number; name: string } | undefined => {
  const [from, to] = [first, last].map((low) => (BigInt(page) << 32n) + BigInt(low)) as [bigint, bigint];
  const pattern = new RegExp(`^lock:.* OFDLCK .*:${inode} (\\d+) (\\d+|EOF)$`, 'gm');
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    try {
      for (const [, start = '', end = ''] of readFileSync(`/proc/${pid}/fdinfo/${fd}`).matchAll(pattern)) {
        if (BigInt(start) > to || (end !== 'EOF' && BigInt(end) < from)) continue;
        return { pid, name: readFileSync(`/proc/${pid}/comm`).trim() };
      }
    } catch {
      // It has no such descriptor, or has ended.
    }
  }
  return undefined;
};

const F_WRLCK = 1;
const F_UNLCK = 2;
const SEEK_SET = 0;
const F_OFD_SETLK = 37;
const EAGAIN = 11;
const EACCES = 13;
