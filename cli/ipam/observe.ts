import { CniError } from '../../shared/cni/errors.ts';
import { countFree, givable, type OwnBlock } from '../../shared/ipam/give.ts';
import { type IpamNode, poolsOf, reservationsOf, withNode } from '../../shared/ipam/node.ts';
import { emptyState, type NodeState, stateDirectory } from '../../shared/ipam/node-state.ts';
import { type Pool, parsePools, type RefusedPool } from '../../shared/ipam/pool.ts';
import { countOf, spanOf } from '../../shared/ipam/ranges.ts';
import { parseCidr } from '../../shared/kernel/address-math.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { type Datastore, DatastoreError, type StoredRecord } from '../../shared/store/datastore/datastore.ts';
import type { Reservation } from '../../shared/store/reservations/record.ts';
import { isStale } from '../../shared/store/reservations/stale.ts';

/** What the datastore has. */
export interface RemoteView {
  pools: Pool[];
  refused: RefusedPool[];
  blocks: StoredRecord[];
  addresses: StoredRecord[];
}

export interface HeldAddress extends Reservation {
  /** Its container is certainly gone: a reboot ago. */
  isStale: boolean;
}

/** What this node has. */
export interface LocalView {
  /** Whether this network was ever used here. */
  isPresent: boolean;
  state: NodeState;
  held: HeldAddress[];
  blocks: BlockUse[];
  /** As this node knows them. */
  pools: Pool[];
}

/** A block of this node. Counts of IPv6 blocks are exact, too: a block has at most 65536 addresses. */
export interface BlockUse {
  cidr: string;
  pool: string;
  /** How many addresses it can give to anybody, and how many of these are free. */
  size: number;
  free: number;
  /** How many are held, fixed ones included. */
  held: number;
}

/** Looks at the datastore. Throws DatastoreError, and what opening it throws. */
export const observeRemote = async (ipam: IpamNode): Promise<RemoteView> => {
  const datastore = await ipam.connect();
  try {
    return await viewOf(ipam, datastore);
  } finally {
    datastore.close();
  }
};

/** The same; the error where the datastore cannot be reached or read, so that what the node has is shown nevertheless. */
export const tryRemote = async (ipam: IpamNode): Promise<RemoteView | CniError> => {
  try {
    return await observeRemote(ipam);
  } catch (error) {
    if (error instanceof DatastoreError || error instanceof CniError) return error;
    throw error;
  }
};

/** Looks at this node's store, under its lock; makes nothing where the network was never used. Throws CniError 5, 7 or 11. */
export const observeLocal = async (ipam: IpamNode): Promise<LocalView> => {
  const isPresent =
    existsSync(stateDirectory(ipam.dataDir, ipam.network)) || existsSync(reservationsOf(ipam).directory);
  if (!isPresent) {
    const state = emptyState(ipam.node, ipam.datastore);
    return { isPresent, state, held: [], blocks: [], pools: poolsOf(ipam, state).pools };
  }
  return withNode(ipam, (store, state) => {
    const { pools } = poolsOf(ipam, state);
    return {
      isPresent,
      pools,
      state: structuredClone(state),
      held: store
        .all()
        .map((reservation) => ({ ...reservation, isStale: isStale(reservation, store.bootId) })),
      blocks: state.blocks.map(({ cidr, pool: name }) => {
        const block = ownBlock(pools, cidr, name);
        return {
          cidr,
          pool: name,
          size: block === undefined ? 0 : Number(countOf(givable(state, block, ipam.ownSubnet))),
          free: block === undefined ? 0 : countFree(store, state, [block], ipam.ownSubnet),
          held: block === undefined ? 0 : store.countUsed(spanOf(block.cidr)),
        };
      }),
    };
  });
};

const viewOf = async (ipam: IpamNode, datastore: Datastore): Promise<RemoteView> => {
  const pools =
    ipam.pools ??
    (await datastore.list('pools/')).map(({ path, value }) => ({ name: path.slice('pools/'.length), value }));
  // One after the other: a block that is claimed in between has no address that is not seen.
  const blocks = await datastore.list('blocks/');
  return { ...parsePools(pools), blocks, addresses: await datastore.list('addresses/') };
};

const ownBlock = (pools: readonly Pool[], text: string, name: string): OwnBlock | undefined => {
  const pool = pools.find((candidate) => candidate.name === name);
  const cidr = parseCidr(text);
  return pool === undefined || cidr === undefined ? undefined : { pool, cidr };
};
