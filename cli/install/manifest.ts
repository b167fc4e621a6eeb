import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject } from '../../shared/cni/fields.ts';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';
import { replaceFile, temporaryFor } from './durable-files.ts';
import { type HostPaths, onHost, stateDirectory } from './host-paths.ts';
import type { Build } from './identify.ts';

/**
 * What an installation put on a node, in `/var/lib/podwire/install.json`. It is written before anything that it
 * speaks of is done, and again when all is done: whatever happens between, `podwire install` goes on from it, and
 * `podwire uninstall` takes back what is there of it.
 */
export interface Manifest {
  version: 1;
  /** `changing`: an install or uninstall has begun, and not told its end. */
  state: 'installed' | 'changing';
  podwire: Build & { sha256: string };
  binDir: string;
  /** The command's name, and the plugins'. */
  names: string[];
  /** All plugins were asked for: an upgrade brings those that are new. */
  everything: boolean;
  /** Foreign files that had these paths, and their names in `/var/lib/podwire/saved`. */
  saved: { path: string; as: string; what: string }[];
  conflist?: { path: string; sha256: string };
  /** Directories that were not there before, the outermost first. */
  made: string[];
}

export const manifestFile = `${stateDirectory}/install.json`;
export const savedDirectory = `${stateDirectory}/saved`;

/** Undefined when there is none. Throws CniError 5, or 6 when it can't be understood. */
export const readManifest = (paths: HostPaths): Manifest | undefined => {
  const file = onHost(paths, manifestFile);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw ioFailure(`read ${manifestFile}`, error);
  }
  const value = parse(text);
  if (isManifest(value)) return value;
  throw new CniError(
    ErrorCode.decodingFailure,
    `${manifestFile} is no manifest that this podwire understands`,
    {
      details:
        'A newer podwire may have written it: use that one. If it was damaged, move it away; then "podwire install" writes it anew.',
    },
  );
};

/** Writes it whole, and onto the disk. Throws CniError 5. */
export const writeManifest = (paths: HostPaths, manifest: Manifest): void => {
  try {
    replaceFile(onHost(paths, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`, 0o600, 0o700);
  } catch (error) {
    throw ioFailure(`write ${manifestFile}`, error);
  }
};

/** With one that was being written when its writer was killed. Throws CniError 5. */
export const removeManifest = (paths: HostPaths): void => {
  const file = onHost(paths, manifestFile);
  try {
    rmSync(temporaryFor(file), { force: true });
    rmSync(file, { force: true });
  } catch (error) {
    throw ioFailure(`remove ${manifestFile}`, error);
  }
};

/** The path of a saved file for this process. */
export const savedPath = (paths: HostPaths, as: string): string => `${onHost(paths, savedDirectory)}/${as}`;

/** Whether a saved file is there, were it a dangling link. */
export const isSaved = (paths: HostPaths, as: string): boolean =>
  lstatSync(savedPath(paths, as), { throwIfNoEntry: false }) !== undefined;

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const isManifest = (value: unknown): value is Manifest =>
  isObject(value) &&
  value.version === 1 &&
  isObject(value.podwire) &&
  typeof value.binDir === 'string' &&
  isPath(value.binDir) &&
  isList(value.names, (name) => typeof name === 'string' && isName(name)) &&
  isList(value.made, isPath) &&
  isList(value.saved, (entry) => isObject(entry) && isPath(entry.path) && isName(entry.as)) &&
  (value.conflist === undefined || (isObject(value.conflist) && isPath(value.conflist.path)));

const isList = (value: unknown, isValid: (entry: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(isValid);

const isPath = (value: unknown): value is string =>
  typeof value === 'string' && value.startsWith('/') && !value.split('/').includes('..');

const isName = (value: unknown): boolean =>
  typeof value === 'string' && value !== '' && !value.startsWith('.') && !value.includes('/');
