import { lstatSync, rmSync } from 'node:fs';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { commandName } from '../../shared/cni/plugin-names.ts';
import { ioFailure } from '../../shared/store/io-failure.ts';
import { copyExecutable, hashFile, linkOver, syncPath, temporaryFor } from './durable-files.ts';
import { inodeOf } from './identify.ts';

/** This very executable, also when another file has its name by now. */
export const ownExecutable = '/proc/self/exe';

/**
 * Puts this executable under `names` into a directory: one copy, root's, and hard links of it. The copy is never a
 * link to where this one is, which may be anybody's. Each name has the old file or the new one at any time, and who
 * executes the old one goes on with it. `replaced` is called before the first name changes. Throws CniError 5.
 */
export const placeExecutable = (
  directory: string,
  names: readonly string[],
  sha256: string,
  replaced: () => void,
): void => {
  const copy = `${directory}/${UNNAMED}`;
  const command = `${directory}/${commandName}`;
  try {
    const source = isPlaced(command, sha256) ? command : copy;
    if (source === copy) copyExecutable(ownExecutable, copy);
    replaced();
    const inode = inodeOf(lstatSync(source));
    // The command's own name last: whoever finds it new finds all of them new.
    for (const name of names.toSorted(
      (one, other) => Number(one === commandName) - Number(other === commandName),
    )) {
      const path = `${directory}/${name}`;
      const present = lstatSync(path, { throwIfNoEntry: false });
      if (present !== undefined && inodeOf(present) === inode) continue;
      linkOver(source, path);
    }
    rmSync(copy, { force: true });
    syncPath(directory);
  } catch (error) {
    rmSync(copy, { force: true });
    throw ioFailure(`install into ${directory}`, error);
  }
  verify(command, sha256);
};

/** What an interrupted installation leaves besides names. Throws CniError 5. */
export const removeUnfinished = (directory: string, names: readonly string[]): void => {
  try {
    for (const name of names) rmSync(temporaryFor(`${directory}/${name}`), { force: true });
    rmSync(`${directory}/${UNNAMED}`, { force: true });
  } catch (error) {
    throw ioFailure(`remove what is unfinished in ${directory}`, error);
  }
};

/** The whole of it there already, and fit to be executed by root. */
export const isPlaced = (path: string, sha256: string): boolean => {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isFile()) return false;
  return (stats.mode & 0o7777) === 0o755 && stats.uid === 0 && hashFile(path) === sha256;
};

const UNNAMED = '.podwire-executable';

/** Reading it back also brings it into the page cache: the first call from a cold disk takes 80 ms longer. */
const verify = (path: string, sha256: string): void => {
  if (hashFile(path) === sha256) return;
  throw new CniError(ErrorCode.ioFailure, `${path} is not what was written to it`, {
    details: 'The disk or its file system is damaged, or somebody else installs at the same time.',
  });
};
