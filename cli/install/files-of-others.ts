import { lstatSync, mkdirSync, readlinkSync, renameSync, rmSync } from 'node:fs';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';
import { duplicate, hashFile, syncPath, temporaryFor } from './durable-files.ts';
import { type HostPaths, onHost } from './host-paths.ts';
import { inodeOf } from './identify.ts';
import { isSaved, type Manifest, savedDirectory, savedPath } from './manifest.ts';

export type SavedFile = Manifest['saved'][number];

/**
 * Keeps a file of somebody else in `/var/lib/podwire/saved`, with mode, owner and times, while it stays where it is:
 * what takes its place comes by rename(2). The manifest speaks of it already. Throws CniError 5.
 */
export const saveFile = (paths: HostPaths, { path, as }: SavedFile): void => {
  try {
    mkdirSync(onHost(paths, savedDirectory), { recursive: true, mode: 0o700 });
    duplicate(onHost(paths, path, true), savedPath(paths, as));
  } catch (error) {
    throw ioFailure(`put ${path} aside`, error);
  }
};

/** Gives a saved file its place back, whatever is there now. Throws CniError 5. */
export const restoreFile = (paths: HostPaths, { path, as }: SavedFile): void => {
  const [source, target] = [savedPath(paths, as), onHost(paths, path, true)];
  try {
    try {
      renameSync(source, target);
    } catch (error) {
      if (!failedWith(error, 'EXDEV')) throw error;
      duplicate(source, target);
      rmSync(source);
    }
    syncPath(target.slice(0, target.lastIndexOf('/')));
  } catch (error) {
    throw ioFailure(`put ${path} back`, error);
  }
};

/** Removes what is kept of a file, finished or not. Throws CniError 5. */
export const forgetSaved = (paths: HostPaths, { as }: Pick<SavedFile, 'as'>): void => {
  try {
    rmSync(temporaryFor(savedPath(paths, as)), { force: true });
    rmSync(savedPath(paths, as), { force: true });
  } catch (error) {
    throw ioFailure(`remove ${savedDirectory}/${as}`, error);
  }
};

/** Whether the saved file is the one that is still, or again, in its place. */
export const isUnchanged = (paths: HostPaths, { path, as }: SavedFile): boolean => {
  if (!isSaved(paths, as)) return false;
  const [source, target] = [savedPath(paths, as), onHost(paths, path, true)];
  const [saved, present] = [lstatSync(source), lstatSync(target, { throwIfNoEntry: false })];
  if (present === undefined) return false;
  if (inodeOf(saved) === inodeOf(present)) return true;
  if (saved.mode !== present.mode || saved.size !== present.size) return false;
  if (saved.isSymbolicLink()) return readlinkSync(source) === readlinkSync(target);
  return hashFile(source) === hashFile(target);
};
