import { closeSync, openSync } from 'node:fs';
import { errno, libc, SystemError } from '../../shared/kernel/libc.ts';
import { ioFailure } from '../../shared/store/io-failure.ts';
import { pollForLock } from '../../shared/store/lock.ts';

/**
 * Runs `body` as the only one that installs into a directory: by flock(2) on the directory itself, so that no
 * file is left of it. Throws CniError 11 when another one takes longer than 60 s, 5 when it can't be opened.
 */
export const withDirectoryLock = async <T>(directory: string, body: () => Promise<T>): Promise<T> => {
  let fd: number;
  try {
    fd = openSync(directory, 'r');
  } catch (error) {
    throw ioFailure(`open ${directory}`, error);
  }
  try {
    const attempt = (): boolean => tryLock(fd, directory);
    if (!attempt()) {
      const what = `the directory ${directory}`;
      const holder = (): string => 'Another podwire installs there, or removes it.';
      await pollForLock(attempt, { what, holder }, { deadlineMs: 60_000 });
    }
    return await body();
  } finally {
    closeSync(fd);
  }
};

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

const tryLock = (fd: number, directory: string): boolean => {
  if (libc().flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const reason = errno();
  if (reason === EWOULDBLOCK) return false;
  throw ioFailure(`lock ${directory}`, new SystemError(reason, 'flock'));
};
