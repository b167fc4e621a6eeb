import { lstatSync, readlinkSync } from 'node:fs';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { failedWith } from '../../shared/store/io-failure.ts';

/** Where the node keeps what an installation reads and writes. In all texts paths are the node's own. */
export interface HostPaths {
  /** Where the node's root is mounted: `/`, or such as `/host` in a container. */
  root: string;
  /** Directory of the plugins, as the node sees it. */
  binDir: string;
  /** Directory of network configurations, as the node sees it. */
  confDir: string;
}

export const hostDefaults = { binDir: '/opt/cni/bin', confDir: '/etc/cni/net.d' } as const;

/** Ours alone, as the node sees them: what outlives a reboot, and what does not. */
export const stateDirectory = '/var/lib/podwire';
export const runDirectory = '/run/podwire';

/**
 * A path of the node as one that this process can use. Symbolic links on the way are followed as the node would
 * follow them: below its root, also the absolute ones. The last name is not followed with `ofEntry`. What does
 * not exist is kept as it is. Throws CniError 5 for a loop of links.
 */
export const onHost = ({ root }: Pick<HostPaths, 'root'>, path: string, ofEntry = false): string => {
  if (root === '/') return path;
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  const resolved: string[] = [];
  for (let followed = 0; names.length > 0; ) {
    const name = names.shift() as string;
    if (name === '..') {
      resolved.pop();
      continue;
    }
    const target =
      ofEntry && names.length === 0 ? undefined : linkTarget([root, ...resolved, name].join('/'));
    if (target === undefined) {
      resolved.push(name);
      continue;
    }
    followed += 1;
    if (followed > MOST_LINKS) {
      throw new CniError(ErrorCode.ioFailure, `${path} below ${root} is a loop of symbolic links`);
    }
    if (target.startsWith('/')) resolved.length = 0;
    names.unshift(...target.split('/').filter((part) => part !== '' && part !== '.'));
  }
  return [root, ...resolved].join('/');
};

/** The kernel's MAXSYMLINKS. */
const MOST_LINKS = 40;

const linkTarget = (path: string): string | undefined => {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
};
