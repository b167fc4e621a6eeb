import { choosePools } from '../../shared/ipam/choose.ts';
import { claimBlock } from '../../shared/ipam/claim.ts';
import { askerFor, type ClusterIpamConfig } from '../../shared/ipam/config.ts';
import { countFree, ownBlocks } from '../../shared/ipam/give.ts';
import { lowMark } from '../../shared/ipam/look-ahead.ts';
import { type Maintained, maintain } from '../../shared/ipam/maintain.ts';
import { type IpamNode, poolsOf, withNode, withRemote } from '../../shared/ipam/node.ts';
import type { NodeState } from '../../shared/ipam/node-state.ts';
import type { Pool } from '../../shared/ipam/pool.ts';
import { spanOf } from '../../shared/ipam/ranges.ts';
import { syncNode } from '../../shared/ipam/sync.ts';
import type { ReservationStore } from '../../shared/store/reservations/store.ts';

/** What this node has of a pool. */
export interface PoolUse {
  pool: string;
  blocks: number;
  inUse: number;
  free: number;
}

/** What a round of upkeep did. */
export interface UpkeepRound {
  maintained: Maintained;
  /** The pools of which a block was claimed before it was needed. */
  claimed: string[];
}

const PATIENCE = { deadlineMs: 10_000 };

/**
 * One round: all that is no part of an ADD (`maintain`), then a block of the first pool of each family where this node
 * has none or its blocks are nearly full: so that the node's first pod waits for nobody. `nodes` are all of the
 * cluster; none: it is not known who is gone. Throws DatastoreError, CniError 5, 7 or 11.
 */
export const upkeep = async (
  cluster: ClusterIpamConfig,
  nodes: ReadonlySet<string>,
): Promise<UpkeepRound> => {
  const maintained = await maintain(cluster.node, nodes, PATIENCE);
  const low = await withNode(cluster.node, (store, state) => lowPools(cluster, store, state));
  const claimed = low.length === 0 ? [] : await claimAhead(cluster.node, low);
  return { maintained, claimed };
};

/** Whether something waits to be told to the datastore. Throws CniError 5, 7 or 11. */
export const hasPending = (ipam: IpamNode): Promise<boolean> =>
  withNode(ipam, (_, { fixed }) => Object.values(fixed).some(({ releasedAt }) => releasedAt !== undefined));

/** What this node has of each pool. Throws CniError 5, 7 or 11. */
export const poolUse = (ipam: IpamNode): Promise<PoolUse[]> =>
  withNode(ipam, (store, state) =>
    poolsOf(ipam, state).pools.map((pool) => {
      const blocks = ownBlocks(state, [pool]);
      return {
        pool: pool.name,
        blocks: blocks.length,
        inUse: blocks.reduce((sum, { cidr }) => sum + store.countUsed(spanOf(cidr)), 0),
        free: countFree(store, state, blocks, ipam.ownSubnet),
      };
    }),
  );

const lowPools = (cluster: ClusterIpamConfig, store: ReservationStore, state: NodeState): Pool[] => {
  const { pools } = choosePools(poolsOf(cluster.node, state).pools, askerFor(cluster));
  return (cluster.families ?? ([4, 6] as const)).flatMap((family) => {
    const suitable = pools.filter(({ cidr }) => cidr.family === family);
    const [first] = suitable;
    if (first === undefined) return [];
    const blocks = ownBlocks(state, suitable);
    const free = countFree(store, state, blocks, cluster.node.ownSubnet);
    return blocks.length === 0 || free <= lowMark(first) ? [first] : [];
  });
};

/** As an ADD would, which may claim at the same time: the remote lock keeps them apart. */
const claimAhead = (ipam: IpamNode, pools: readonly Pool[]): Promise<string[]> =>
  withRemote(
    ipam,
    async (datastore) => {
      const claimed: string[] = [];
      const view = await syncNode(ipam, datastore);
      for (const pool of pools) {
        const outcome = await claimBlock(ipam, datastore, pool, view);
        if (typeof outcome === 'object') claimed.push(pool.name);
      }
      return claimed;
    },
    PATIENCE,
  );
