import { readFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject } from '../../shared/cni/fields.ts';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';
import { parseNetworkList } from '../run/network.ts';
import { replaceFile, temporaryFor } from './durable-files.ts';
import { type HostPaths, onHost } from './host-paths.ts';
import type { Manifest } from './manifest.ts';

/** A network configuration list that is to be installed. */
export interface Conflist {
  /** Its name in the directory of configurations. */
  file: string;
  text: string;
  /** All plugins that it calls, IPAM's among them. */
  types: string[];
}

/** Reads and checks one. Throws CniError 5, 6, or 7 with what is wrong. */
export const readConflist = (file: string): Conflist => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw ioFailure(`read --conflist ${file}`, error);
  }
  const name = basename(file);
  if (!/^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.conflist$/.test(name)) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `--conflist ${file}: its name must be such as 10-podwire.conflist`,
      {
        details: 'Runtimes read a list of plugins only from *.conflist, in the order of the names.',
      },
    );
  }
  const { plugins } = parseNetworkList(text, file);
  const types = plugins.flatMap(({ type, json: { ipam } }) =>
    isObject(ipam) && typeof ipam.type === 'string' ? [type, ipam.type] : [type],
  );
  return { file: name, text, types };
};

/** What stands under the conflist's name: `ours` as it was installed, or somebody else's, or changed since. */
export type ConflistState = 'absent' | 'same' | 'ours' | 'foreign';

/** Throws CniError 5. */
export const conflistState = (
  paths: HostPaths,
  path: string,
  text: string | undefined,
  installed: Manifest['conflist'],
): ConflistState => {
  const present = readIfThere(onHost(paths, path));
  if (present === undefined) return 'absent';
  if (installed?.path === path && installed.sha256 === hashText(present))
    return present === text ? 'same' : 'ours';
  return 'foreign';
};

/** Writes it for the runtime: whole, and readable for everybody. Throws CniError 5. */
export const writeConflist = (paths: HostPaths, path: string, text: string): void => {
  try {
    replaceFile(onHost(paths, path), text, 0o644);
  } catch (error) {
    throw ioFailure(`write ${path}`, error);
  }
};

/** What a killed writer left beside it. Throws CniError 5. */
export const removeUnfinishedConflist = (paths: HostPaths, path: string): void =>
  remove(temporaryFor(onHost(paths, path)), path);

/** Throws CniError 5. */
export const removeConflist = (paths: HostPaths, path: string): void => remove(onHost(paths, path), path);

const remove = (file: string, path: string): void => {
  try {
    rmSync(file, { force: true });
  } catch (error) {
    throw ioFailure(`remove ${path}`, error);
  }
};

export const hashText = (text: string): string => new Bun.CryptoHasher('sha256').update(text).digest('hex');

const readIfThere = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw ioFailure(`read ${file}`, error);
  }
};
