import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { failedWith, ioFailure } from '../shared/store/io-failure.ts';
import { isAgentsConflist } from './conflist.ts';

/** The node's network configuration, in the runtime's directory. */
export const conflistPath = (confDir: string): string => `${confDir}/10-podwire.conflist`;

export interface ConflistWrite {
  written: boolean;
  /** Where a file of somebody else's, which had this name, is now. */
  saved?: string;
}

/**
 * Writes the file if it says something else: whole or not at all, and on the disk when this returns, because a
 * runtime may read it at any time. Somebody else's file of that name is kept under another. Throws CniError 5.
 */
export const writeConflist = (path: string, text: string): ConflistWrite => {
  try {
    const present = readIfThere(path);
    if (present === text) return { written: false };
    const saved = present === undefined || isAgentsConflist(present) ? undefined : save(path);
    replace(path, text);
    return saved === undefined ? { written: true } : { written: true, saved };
  } catch (error) {
    throw ioFailure(`write ${path}`, error);
  }
};

/** Removes the file if an agent wrote it. Returns whether it did. Throws CniError 5. */
export const removeConflist = (path: string): boolean => {
  try {
    rmSync(temporary(path), { force: true });
    const present = readIfThere(path);
    if (present === undefined || !isAgentsConflist(present)) return false;
    unlinkSync(path);
    syncDirectory(dirname(path));
    return true;
  } catch (error) {
    throw ioFailure(`remove ${path}`, error);
  }
};

const readIfThere = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined;
    throw error;
  }
};

/** Runtimes read `.conf`, `.conflist` and `.json` only. */
const save = (path: string): string => {
  for (let number = 1; ; number++) {
    const saved = number === 1 ? `${path}.saved` : `${path}.saved.${number}`;
    if (existsSync(saved)) continue;
    renameSync(path, saved);
    return saved;
  }
};

const replace = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const fd = openSync(temporary(path), 'w', 0o644);
  try {
    writeSync(fd, text);
    // Whatever the umask says: an operator's tools read it, too.
    fchmodSync(fd, 0o644);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary(path), path);
  syncDirectory(dirname(path));
};

const temporary = (path: string): string => `${path}.new`;

const syncDirectory = (directory: string): void => {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};
