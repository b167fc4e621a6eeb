import { readdirSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { listAddresses } from '../../shared/kernel/address.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { listLinks } from '../../shared/kernel/link.ts';
import { isOwnNetns, type Netns, openNetnsIfPresent } from '../../shared/kernel/netns.ts';
import { readRoutes } from '../../shared/kernel/route.ts';
import { ROUTE_PROTOCOL } from '../../shared/overlay/entries.ts';

/**
 * Where a path leads: to the netns of an inode, to the host's own, to nothing, to a file that is no netns (or is one
 * where mounts of the host are seen), or it cannot be told.
 */
export type NetnsPlace = number | 'host' | 'gone' | 'file' | 'unknown';

export interface FoundAddress {
  address: string;
  /** A path of its netns, and the inode. */
  netns: string;
  inode: number;
  ifname: string;
}

/** What the kernel has of pods' addresses. */
export interface KernelView {
  places: Map<string, NetnsPlace>;
  /** In the netns of pods that a path leads to. */
  found: FoundAddress[];
  /** In any other netns that a process runs in. */
  elsewhere: Set<string>;
  /** The host's routes to single addresses over a device. */
  hostRoutes: { address: string; device: string }[];
  /** The names of the host's devices. */
  devices: Set<string>;
}

/**
 * Looks for addresses in the network namespaces behind `paths` and below /run/netns, and, of addresses nobody shows
 * otherwise, in those of all processes. Changes nothing. Throws SystemError when netlink fails.
 */
export const observeKernel = (paths: readonly string[]): KernelView => {
  const places = new Map<string, NetnsPlace>();
  const found: FoundAddress[] = [];
  const seen = new Set<number>();
  for (const path of new Set([...paths, ...namedNetns()])) {
    const netns = openQuietly(path);
    if (netns === undefined || netns === 'unknown') {
      places.set(path, netns ?? placeOfNone(path));
      continue;
    }
    try {
      places.set(path, isOwnNetns(netns) ? 'host' : netns.inode);
      if (isOwnNetns(netns) || seen.has(netns.inode)) continue;
      seen.add(netns.inode);
      found.push(...addressesIn(netns, path));
    } finally {
      netns.close();
    }
  }
  const links = listLinks();
  return {
    places,
    found,
    elsewhere: addressesOfProcesses(seen),
    hostRoutes: hostRoutes(new Map(links.map(({ index, name }) => [index, name]))),
    devices: new Set(links.map(({ name }) => name)),
  };
};

const netnsDirectory = '/run/netns';

const namedNetns = (): string[] => namesIn(netnsDirectory).map((name) => `${netnsDirectory}/${name}`);

/** In a container that does not see the host's directory of netns nothing ever is there. */
const placeOfNone = (path: string): NetnsPlace => {
  if (existsSync(path)) return 'file';
  return path.startsWith('/proc/') || existsSync(dirname(path)) ? 'gone' : 'unknown';
};

const openQuietly = (path: string): Netns | 'unknown' | undefined => {
  try {
    return openNetnsIfPresent(path);
  } catch {
    return 'unknown';
  }
};

const addressesIn = (netns: Netns, path: string): FoundAddress[] =>
  netns.run(() => {
    const names = new Map(listLinks().map(({ index, name }) => [index, name]));
    return listAddresses()
      .filter(({ scope }) => scope === 0)
      .map(({ address, linkIndex }) => ({
        address,
        netns: path,
        inode: netns.inode,
        ifname: names.get(linkIndex) ?? `#${linkIndex}`,
      }));
  });

/** Of processes that end meanwhile, and of those that may not be looked at, nothing is told. */
const addressesOfProcesses = (seen: ReadonlySet<number>): Set<string> => {
  const addresses = new Set<string>();
  const known = new Set(seen);
  for (const pid of namesIn('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const path = `/proc/${pid}/ns/net`;
    const inode = inodeOf(path);
    if (inode === undefined || known.has(inode)) continue;
    known.add(inode);
    const netns = openQuietly(path);
    if (netns === undefined || netns === 'unknown') continue;
    try {
      if (isOwnNetns(netns)) continue;
      for (const { address } of addressesIn(netns, path)) addresses.add(address);
    } catch {
      // The namespace cannot be entered.
    } finally {
      netns.close();
    }
  }
  return addresses;
};

const inodeOf = (path: string): number | undefined => {
  try {
    const inode = /^net:\[(\d+)\]$/.exec(readlinkSync(path))?.[1];
    return inode === undefined ? undefined : Number(inode);
  } catch {
    return undefined;
  }
};

/** Without the overlay's, which lead to nodes. */
const hostRoutes = (names: ReadonlyMap<number, string>): KernelView['hostRoutes'] =>
  ([4, 6] as const).flatMap((family) =>
    readRoutes(family, { table: mainTable, exceptProtocol: ROUTE_PROTOCOL }).flatMap(
      ({ dst, gateway, linkIndex }) => {
        const [address = '', length] = dst.split('/');
        const isHost = length === (family === 4 ? '32' : '128') && gateway === undefined;
        return isHost && linkIndex !== undefined
          ? [{ address, device: names.get(linkIndex) ?? `#${linkIndex}` }]
          : [];
      },
    ),
  );

const mainTable = 254;

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};
