import { ptr } from 'bun:ffi';
import { readdirSync, readFileSync } from './files.ts';
import { errno, libc, SystemError } from './libc.ts';

/** Bytes of a file that are locked; they need not exist. */
export interface ByteRange {
  first: bigint;
  last: bigint;
}

/** The highest byte that a lock can be on: off_t has 63 bits. */
export const LAST_BYTE = 2n ** 63n - 1n;

/**
 * Takes an exclusive lock on a range for the open file description `fd` (fcntl(2), "Open file description
 * locks"), or returns false when somebody else has a part of it. As flock(2), it belongs to the description,
 * so that a child that inherits `fd` keeps it when we die; unlike flock, one file serves any number of locks.
 * `fd` must be open for writing. Throws SystemError.
 */
export const tryLockRange = (fd: number, range: ByteRange): boolean => {
  if (setLock(fd, F_WRLCK, range) === 0) return true;
  const reason = errno();
  if (reason === EAGAIN || reason === EACCES) return false;
  throw new SystemError(reason, 'locking');
};

/** Gives up all locks of the description, also for the children that inherited it. */
export const unlockAll = (fd: number): void => {
  setLock(fd, F_UNLCK, { first: 0n, last: LAST_BYTE });
};

/**
 * A process that has a part of a range of the file `inode` locked by its descriptor `fd`; undefined when
 * there is none. The kernel's own list does not name the holders of such locks, so this looks at every
 * process, which is for error messages only.
 */
export const rangeHolder = (
  inode: bigint,
  { first, last }: ByteRange,
  fd: number,
): { pid: number; name: string } | undefined => {
  const pattern = new RegExp(`^lock:.* OFDLCK .*:${inode} (\\d+) (\\d+|EOF)$`, 'gm');
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    try {
      for (const [, start = '', end = ''] of readFileSync(`/proc/${pid}/fdinfo/${fd}`).matchAll(pattern)) {
        if (BigInt(start) > last || (end !== 'EOF' && BigInt(end) < first)) continue;
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

/** struct flock: short type, short whence, off_t start, off_t length (0: to the end), pid_t. */
const setLock = (fd: number, type: number, { first, last }: ByteRange): number => {
  const lock = new BigInt64Array(4);
  lock[0] = BigInt(type | (SEEK_SET << 16));
  lock[1] = first;
  lock[2] = last === LAST_BYTE ? 0n : last - first + 1n;
  return libc().fcntl(fd, F_OFD_SETLK, BigInt(ptr(lock)));
};
