import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { failedWith } from '../../shared/store/io-failure.ts';

// All of these leave, when the process is killed at any moment, either the old or the new under a name, and at
// most one file beside it, `temporaryFor(path)`, which the next call replaces. Errors are the system's.

/** Where a file is made before it takes its name. Runtimes call no plugin and read no configuration of that name. */
export const temporaryFor = (path: string): string => {
  const slash = path.lastIndexOf('/') + 1;
  return `${path.slice(0, slash)}.${path.slice(slash)}.podwire-new`;
};

/** Writes a file whole and onto the disk, and makes its directory, so that `directoryMode` counts, where it is missing. */
export const replaceFile = (path: string, text: string, mode: number, directoryMode = 0o755): void => {
  mkdirSync(dirname(dirname(path)), { recursive: true, mode: 0o755 });
  mkdirSync(dirname(path), { recursive: true, mode: directoryMode });
  const temporary = temporaryFor(path);
  const fd = openSync(temporary, 'w', mode);
  try {
    writeSync(fd, text);
    // Whatever the umask, or an earlier attempt.
    fchmodSync(fd, mode);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncPath(dirname(path));
};

/** Copies an executable onto the disk, root's own; where the file system can, by sharing the blocks. */
export const copyExecutable = (source: string, target: string): void => {
  rmSync(target, { force: true });
  copyFileSync(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  chownSync(target, 0, 0);
  chmodSync(target, 0o755);
  syncPath(target);
};

/** Gives a file of the same file system another name, in the place of whatever had it. */
export const linkOver = (file: string, path: string): void => {
  const temporary = temporaryFor(path);
  rmSync(temporary, { force: true });
  linkSync(file, temporary);
  renameSync(temporary, path);
  // rename(2) does nothing where both are names of one file already.
  rmSync(temporary, { force: true });
};

/**
 * Keeps a file or symbolic link as it is, with mode, owner, times and attributes, under another path as well: as a
 * hard link, or as a copy where that is another file system.
 */
export const duplicate = (source: string, target: string): void => {
  const temporary = temporaryFor(target);
  rmSync(temporary, { force: true });
  try {
    linkSync(source, temporary);
  } catch (error) {
    if (!failedWith(error, 'EXDEV', 'EPERM', 'EMLINK')) throw error;
    execFileSync('cp', ['--archive', '--no-target-directory', '--', source, temporary], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    syncFileSystem(temporary);
  }
  renameSync(temporary, target);
  rmSync(temporary, { force: true });
  syncPath(dirname(target));
};

/** SHA-256 of a file, in hexadecimal. To read it whole also brings it into the page cache. */
export const hashFile = (path: string): string => {
  const hasher = new Bun.CryptoHasher('sha256');
  const fd = openSync(path, 'r');
  const part = Buffer.allocUnsafe(1 << 20);
  try {
    for (;;) {
      const length = readSync(fd, part);
      if (length === 0) return hasher.digest('hex');
      hasher.update(part.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
};

/** Removes a directory unless something is in it, it is gone, or it is a container's mount. Returns whether it did. */
export const removeIfEmpty = (directory: string): boolean => {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'EBUSY', 'EROFS')) return false;
    throw error;
  }
};

/** Onto the disk: a file's content, or a directory's names. */
export const syncPath = (path: string): void => {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** A copied symbolic link can't be opened to be synced; its directory is, later. */
const syncFileSystem = (path: string): void => {
  try {
    syncPath(path);
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'ELOOP')) throw error;
  }
};
