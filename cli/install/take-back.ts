import { rmSync } from 'node:fs';
import { commandName } from '../../shared/cni/plugin-names.ts';
import { ioFailure } from '../../shared/store/io-failure.ts';
import { conflistState, removeConflist, removeUnfinishedConflist } from './conflist.ts';
import { removeIfEmpty } from './durable-files.ts';
import { forgetSaved, isUnchanged, restoreFile, type SavedFile } from './files-of-others.ts';
import { type HostPaths, onHost, stateDirectory } from './host-paths.ts';
import { Identifier } from './identify.ts';
import { isSaved, type Manifest, removeManifest, savedDirectory } from './manifest.ts';
import { removeUnfinished } from './place.ts';

/** What became of an installation's files, by the node's paths. */
export interface TakenBack {
  removed: string[];
  /** Files of others that have their places again. */
  restored: string[];
  left: LeftFile[];
}

/** A file that is no more, or never was, what podwire installed. */
export interface LeftFile {
  path: string;
  why: string;
  /** Where the file is that was there before podwire. */
  kept?: string;
}

/** The network configuration: it goes first, so that a runtime starts no pod with plugins that are going. */
export const takeBackConflist = (
  paths: HostPaths,
  { conflist, saved }: Manifest,
  outcome: TakenBack,
): void => {
  if (conflist === undefined) return;
  const { path } = conflist;
  removeUnfinishedConflist(paths, path);
  const entry = saved.find((candidate) => candidate.path === path);
  const state = conflistState(paths, path, undefined, conflist);
  if (state === 'foreign') {
    leave(paths, path, entry, outcome);
  } else if (entry !== undefined && isSaved(paths, entry.as)) {
    restoreFile(paths, entry);
    outcome.restored.push(path);
  } else {
    removeConflist(paths, path);
    if (state === 'ours') outcome.removed.push(path);
  }
};

/**
 * The executables, then the manifest, and the command that may be doing this at the very end: what a kill leaves can
 * be taken back by another call. Whatever has the mark of a build of ours goes; what has not is another's and stays.
 * Throws CniError 5.
 */
export const takeBackFiles = (paths: HostPaths, manifest: Manifest, outcome: TakenBack): void => {
  const directory = onHost(paths, manifest.binDir);
  const identifier = new Identifier();
  removeUnfinished(directory, manifest.names);
  const takeBack = (name: string): void => {
    const path = `${manifest.binDir}/${name}`;
    const entry = manifest.saved.find((candidate) => candidate.path === path);
    const { kind } = identifier.identify(`${directory}/${name}`);
    if (kind === 'foreign' || kind === 'immovable') {
      leave(paths, path, entry, outcome);
    } else if (entry !== undefined && isSaved(paths, entry.as)) {
      restoreFile(paths, entry);
      outcome.restored.push(path);
    } else if (kind === 'ours') {
      unlink(`${directory}/${name}`);
      outcome.removed.push(path);
    }
  };
  const isLast = (name: string): boolean =>
    name === commandName && manifest.saved.every(({ path }) => path !== `${manifest.binDir}/${name}`);
  for (const name of manifest.names) if (!isLast(name)) takeBack(name);
  const kept = new Set(outcome.left.map((file) => file.kept));
  for (const entry of manifest.saved) if (!kept.has(keptPath(entry))) forgetSaved(paths, entry);
  removeManifest(paths);
  for (const name of manifest.names) if (isLast(name)) takeBack(name);
  for (const made of manifest.made.toReversed()) removeIfEmpty(onHost(paths, made));
  removeIfEmpty(onHost(paths, savedDirectory));
  removeIfEmpty(onHost(paths, stateDirectory));
};

/** What is there is not ours: either it was never replaced, or somebody put it there since. */
const leave = (
  paths: HostPaths,
  path: string,
  entry: SavedFile | undefined,
  { left, restored }: TakenBack,
): void => {
  if (entry === undefined || !isSaved(paths, entry.as)) {
    left.push({ path, why: 'it is not, or no more, what podwire installed' });
    return;
  }
  if (isUnchanged(paths, entry)) {
    forgetSaved(paths, entry);
    restored.push(path);
    return;
  }
  left.push({ path, why: 'somebody replaced it since', kept: keptPath(entry) });
};

const keptPath = ({ as }: SavedFile): string => `${savedDirectory}/${as}`;

const unlink = (path: string): void => {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw ioFailure(`remove ${path}`, error);
  }
};
