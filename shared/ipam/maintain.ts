import type { LockOptions } from '../store/lock.ts';
import { expireHeld, releaseOrphans, returnEmptyBlocks, tellReleases } from './give-back.ts';
import { type IpamNode, withRemote } from './node.ts';
import { type Reclaimed, reclaim } from './reclaim.ts';
import { syncNode } from './sync.ts';

export interface Maintained {
  /** Releases that the datastore was told of. */
  told: number;
  /** Fixed addresses that no container had any more. */
  orphans: number;
  returned: string[];
  /** Kept addresses whose time was over. */
  expired: number;
  reclaimed: Reclaimed;
}

/**
 * Everything that is no part of an ADD: takes over what the datastore says, tells it what waits to be told, returns
 * empty blocks, ends holds, and, where all nodes are known, takes back what those have that are gone. The agent does it
 * on a timer and when something changes; GC and `podwire ipam gc` do it, too. Throws DatastoreError, CniError 5 or 11.
 */
export const maintain = (
  ipam: IpamNode,
  nodes: ReadonlySet<string> = new Set(),
  options: LockOptions = {},
): Promise<Maintained> =>
  withRemote(
    ipam,
    async (datastore) => {
      const told = await tellReleases(ipam, datastore);
      const view = await syncNode(ipam, datastore);
      const orphans = await releaseOrphans(ipam, datastore, view);
      const returned = await returnEmptyBlocks(ipam, datastore, view);
      const reclaimed = await reclaim(datastore, view, nodes, ipam.graceMs, ipam.now());
      const expired = await expireHeld(datastore, view, ipam.now());
      return { told, orphans, returned, expired, reclaimed };
    },
    options,
  );
