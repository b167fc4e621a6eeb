import { readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import {
  assertNetworkName,
  isSinglePlugin,
  type Network,
  parseNetworkList,
  parsePlugin,
  parseSinglePlugin,
  withFolderPlugins,
} from './network.ts';

/**
 * Finds a network by name in a directory as libcni does: first the `*.conflist` in lexical order, then
 * `*.conf` and `*.json`. A file on the way that cannot be read or is invalid ends the search with its
 * error (5, 6, 7): skipping it could pick another network of the same name. With a slash in it, `name`
 * is the path of the file to read. CniError 7 when there is no such network.
 */
export const findNetwork = (name: string, directory: string): Network => {
  if (name.includes('/')) return loadFile(resolve(name));
  const seen: string[] = [];
  for (const [extensions, load] of searchOrder) {
    for (const file of configFiles(directory, extensions)) {
      const network = load(file);
      if (network.name === name) return named(network, file);
      seen.push(network.name);
    }
  }
  throw new CniError(ErrorCode.invalidNetworkConfig, `no network named "${name}" in ${directory}`, {
    details:
      seen.length === 0 ? 'There is no network configuration at all.' : `There are: ${seen.join(', ')}.`,
  });
};

/**
 * All networks of a directory in the order in which `findNetwork` looks at them. A file that cannot be read or is
 * invalid ends it with its error (5, 6, 7).
 */
export const listNetworks = (directory: string): Network[] =>
  searchOrder.flatMap(([extensions, load]) =>
    configFiles(directory, extensions).map((file) => named(load(file), file)),
  );

const loadFile = (file: string): Network =>
  named(isSinglePlugin(read(file), file) ? loadSinglePlugin(file) : loadList(file), file);

const loadList = (file: string): Network => {
  let network = named(parseNetworkList(read(file), file), file);
  if (!network.loadOnlyInlinedPlugins) {
    const folder = join(dirname(file), network.name);
    network = withFolderPlugins(
      network,
      configFiles(folder, ['.conf']).map((part) => parsePlugin(read(part), part)),
    );
  }
  if (network.plugins.length === 0) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `network "${network.name}" of ${file} has no plugins`,
      {
        details: `Add "plugins", or put *.conf files in ${join(dirname(file), network.name)}.`,
      },
    );
  }
  return network;
};

const loadSinglePlugin = (file: string): Network => parseSinglePlugin(read(file), file);

/** The name becomes part of paths; of a file that is only passed by, nobody asks it to be valid. */
const named = (network: Network, file: string): Network => {
  assertNetworkName(network.name, file);
  return network;
};

const searchOrder: [string[], (file: string) => Network][] = [
  [['.conflist'], loadList],
  [['.conf', '.json'], loadSinglePlugin],
];

const configFiles = (directory: string, extensions: string[]): string[] => {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && extensions.includes(extname(entry.name)))
      .map((entry) => join(directory, entry.name))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw unreadable(directory, error);
  }
};

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
};

const unreadable = (path: string, cause: unknown): CniError =>
  new CniError(ErrorCode.ioFailure, `cannot read ${path}: ${(cause as Error).message}`, { cause });
