import { countFree, givable, type OwnBlock } from '../../shared/ipam/give.ts';
import { type IpamNode, poolsOf, withNode } from '../../shared/ipam/node.ts';
import type { NodeState } from '../../shared/ipam/node-state.ts';
import { type Pool, parsePools, type RefusedPool } from '../../shared/ipam/pool.ts';
import { countOf } from '../../shared/ipam/ranges.ts';
import { parseCidr } from '../../shared/kernel/address-math.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import type { StoredRecord } from '../../shared/store/datastore/datastore.ts';
import type { Reservation } from '../../shared/store/reservations/record.ts';
import { isStale } from '../../shared/store/reservations/stale.ts';

/** What the datastore has, as far as it could be reached. */
export interface RemoteView {
  pools: Pool[];
  refused: RefusedPool[];
  blocks: StoredRecord[];
  addresses: StoredRecord[];
}

export interface HeldAddress extends Reservation {
  /** Its container is certainly gone: a reboot ago. */
  isStale: boolean;
  /** The netns that ADD was given is not there any more; undefined where it is not known. */
  isNetnsGone: boolean | undefined;
}

/** What this node has. */
export interface LocalView {
  state: NodeState;
  held: HeldAddress[];
  /** The blocks with how many addresses they can give and how many of these are free. */
  blocks: { cidr: string; pool: string; size: number; free: number }[];
}

/** Looks at the datastore. Throws DatastoreError, and what opening it throws. */
export const observeRemote = async (ipam: IpamNode): Promise<RemoteView> => {
  const datastore = await ipam.connect();
  try {
    const records = await datastore.list('pools/');
    const [blocks, addresses] = [await datastore.list('blocks/'), await datastore.list('addresses/')];
    const values =
      ipam.pools ?? records.map(({ path, value }) => ({ name: path.slice('pools/'.length), value }));
    return { ...parsePools(values), blocks, addresses };
  } finally {
    datastore.close();
  }
};

/** Looks at this node's store, under its lock. Throws CniError 5, 7 or 11. */
export const observeLocal = (ipam: IpamNode): Promise<LocalView> =>
  withNode(ipam, (store, state) => {
    const { pools } = poolsOf(ipam, state);
    return {
      state: structuredClone(state),
      held: store.all().map((reservation) => ({
        ...reservation,
        isStale: isStale(reservation, store.bootId),
        isNetnsGone: reservation.netns === undefined ? undefined : !existsSync(reservation.netns),
      })),
      blocks: state.blocks.map(({ cidr, pool: name }) => {
        const block = ownBlock(pools, cidr, name);
        const size = block === undefined ? 0 : Number(countOf(givable(state, block, ipam.ownSubnet)));
        const free = block === undefined ? 0 : countFree(store, state, [block], ipam.ownSubnet);
        return { cidr, pool: name, size, free };
      }),
    };
  });

const ownBlock = (pools: readonly Pool[], text: string, name: string): OwnBlock | undefined => {
  const pool = pools.find((candidate) => candidate.name === name);
  const cidr = parseCidr(text);
  return pool === undefined || cidr === undefined ? undefined : { pool, cidr };
};
