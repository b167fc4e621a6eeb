import type { JsonObject } from '../cni/types.ts';
import type { Datastore } from '../store/datastore/datastore.ts';
import { type LockOptions, withLock } from '../store/lock.ts';
import { type Place, placeOf } from '../store/reservations/files.ts';
import { type ReservationStore, type StoreOptions, withReservations } from '../store/reservations/store.ts';
import { type NodeState, readState, stateDirectory, writeState } from './node-state.ts';
import { type Pool, parsePools, type RefusedPool } from './pool.ts';

/** One network on one node, as its IPAM sees it. */
export interface IpamNode {
  node: string;
  network: string;
  /** Where reservations and state are kept. */
  dataDir: string;
  /** Which datastore it is, in a word that does not change while it is the same. */
  datastore: string;
  /** Opens the datastore; called only when something remote is needed. Throws CniError. */
  connect: () => Promise<Datastore>;
  /** The pools, where the configuration has them; else the datastore's. */
  pools: { name: string; value: JsonObject }[] | undefined;
  /** Pods see their block as their subnet, and not their pool. */
  ownSubnet: boolean;
  /**
   * How long, in ms, the blocks of a node that is gone are left alone. A node that has not heard from the datastore for
   * that long no longer gives addresses, as its blocks may be another's.
   */
  graceMs: number;
  /** The time, in ms since 1970. */
  now: () => number;
  options?: StoreOptions;
}

export const reservationsOf = ({ dataDir, network }: IpamNode): Place => placeOf(dataDir, network);

/** Runs `body` with the node's reservations and state; what it changed of the state is written before this returns. */
export const withNode = <T>(
  ipam: IpamNode,
  body: (store: ReservationStore, state: NodeState) => T,
  options: StoreOptions = {},
): Promise<T> =>
  withReservations(
    reservationsOf(ipam),
    (store) => {
      const directory = stateDirectory(ipam.dataDir, ipam.network);
      const state = readState(directory, ipam.node, ipam.datastore);
      const before = JSON.stringify(state);
      const result = body(store, state);
      if (JSON.stringify(state) !== before) writeState(directory, state, JSON.parse(before));
      return result;
    },
    { ...ipam.options, ...options },
  );

/** Runs `body`, which talks to the datastore, alone among the calls of this network on this node. */
export const withRemote = <T>(
  ipam: IpamNode,
  body: (datastore: Datastore) => Promise<T>,
  options: LockOptions = {},
): Promise<T> =>
  withLock(
    `${stateDirectory(ipam.dataDir, ipam.network)}/lock`,
    async () => {
      const datastore = await ipam.connect();
      try {
        return await body(datastore);
      } finally {
        datastore.close();
      }
    },
    options,
  );

/** The pools in force: the configuration's, or as the datastore had them when it was last asked. */
export const poolsOf = (ipam: IpamNode, state: NodeState): { pools: Pool[]; refused: RefusedPool[] } => {
  const values = ipam.pools ?? state.pools;
  let parsed = parsedPools.get(values);
  if (parsed === undefined) {
    parsed = parsePools(values);
    parsedPools.set(values, parsed);
  }
  return parsed;
};

/** An ADD needs them several times. Lists of pools are replaced, never changed. */
const parsedPools = new WeakMap<object, { pools: Pool[]; refused: RefusedPool[] }>();

/** What the order of a node's candidates is derived from. */
export const seedOf = ({ node, network }: IpamNode): string => `${node}/${network}`;
