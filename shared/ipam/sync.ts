import { isObject } from '../cni/fields.ts';
import { type Cidr, parseAddress, parseCidr } from '../kernel/address-math.ts';
import {
  type CallOptions,
  type Datastore,
  hasProblem,
  type StoredRecord,
} from '../store/datastore/datastore.ts';
import type { Reservation } from '../store/reservations/record.ts';
import { spanHolds } from '../store/reservations/spans.ts';
import { type IpamNode, withNode } from './node.ts';
import type { FixedNote, NodeState } from './node-state.ts';
import { spanOf } from './ranges.ts';
import type { AddressValue, BlockValue } from './records.ts';

/** What the datastore held at one time. */
export interface View {
  pools: StoredRecord[];
  blocks: StoredRecord[];
  addresses: StoredRecord[];
}

/** The deadline of a call that an ADD waits for. */
export const remoteCall: CallOptions = { deadlineMs: 3000 };

/**
 * Takes over into the node's state what the datastore says: which blocks are this node's (one that a killed ADD claimed
 * is found again, one that was reclaimed is given up), the pools, the fixed addresses. A block that was marked because
 * this node seemed gone loses the mark. Under the remote lock. Throws DatastoreError.
 */
export const syncNode = async (ipam: IpamNode, datastore: Datastore): Promise<View> => {
  const askedAt = ipam.now();
  const pools = ipam.pools === undefined ? await datastore.list('pools/', remoteCall) : [];
  const known = await withNode(ipam, (_, state) => new Set(state.blocks.map(({ cidr }) => cidr)));
  const blocks = await ownBlocksSettled(ipam, datastore, known);
  // After the blocks: who makes a fixed address looks for a block afterwards.
  const addresses = await datastore.list('addresses/', remoteCall);
  await withNode(ipam, (_, state) => {
    state.confirmedAt = askedAt;
    state.blocks = blocks.filter((record) => isOwn(ipam, record)).map(heldBlock);
    if (ipam.pools === undefined) state.pools = knownPools(state, pools);
    state.fixed = fixedNotes(ipam, state, addresses);
  });
  return { pools, blocks, addresses };
};

export const blockValue = ({ value }: StoredRecord): BlockValue => value as BlockValue;

export const addressValue = ({ value }: StoredRecord): AddressValue => value as AddressValue;

/** The network of a block's record; undefined for a record that somebody else made up. */
export const blockCidr = ({ value }: StoredRecord): Cidr | undefined =>
  isObject(value) && typeof value.cidr === 'string' ? parseCidr(value.cidr) : undefined;

export const isOwn = (ipam: IpamNode, { value }: StoredRecord): boolean =>
  value.node === ipam.node && value.network === ipam.network;

/** Whether an address, as text, lies in one of the blocks that the state has. */
export const isInOwnBlock = (state: NodeState, text: string): boolean => {
  const address = parseAddress(text);
  return (
    address !== undefined &&
    state.blocks.some(({ cidr }) => {
      const block = parseCidr(cidr);
      return block !== undefined && spanHolds(spanOf(block), address);
    })
  );
};

const heldBlock = (record: StoredRecord): NodeState['blocks'][number] => {
  const { cidr, pool } = blockValue(record);
  return { cidr, pool };
};

/**
 * All blocks, after those of this node are settled: they lose the mark of a node that seemed gone; and a block that this
 * node did not know it had gets a new version. It may have been returned by a call that ended before the datastore
 * answered, and that old removal must no longer succeed.
 */
const ownBlocksSettled = async (
  ipam: IpamNode,
  datastore: Datastore,
  known: Set<string>,
): Promise<StoredRecord[]> => {
  for (;;) {
    const blocks = await datastore.list('blocks/', remoteCall);
    const unsettled = blocks.filter(
      (record) =>
        isOwn(ipam, record) &&
        (blockValue(record).missingSince !== undefined || !known.has(blockValue(record).cidr)),
    );
    if (unsettled.length === 0) return blocks;
    for (const record of unsettled) {
      const { missingSince: _, ...value } = blockValue(record);
      try {
        await datastore.replace(record, { ...value, claimedAt: timeText(ipam) }, remoteCall);
        known.add(value.cidr);
      } catch (error) {
        // Somebody reclaims it at this moment, or marks it anew: the next look tells.
        if (!hasProblem(error, 'conflict', 'not-found')) throw error;
      }
    }
  }
};

/** The time, as records have it. */
export const timeText = ({ now }: IpamNode): string => new Date(now()).toISOString();

/** A pool that was removed while this node has blocks of it gives no more, but its addresses keep their prefix. */
const knownPools = (state: NodeState, records: StoredRecord[]): NodeState['pools'] => {
  const pools = records.map(({ path, value }) => ({ name: path.slice('pools/'.length), value }));
  const removed = state.pools.filter(
    ({ name }) => !pools.some((pool) => pool.name === name) && state.blocks.some(({ pool }) => pool === name),
  );
  return [...pools, ...removed.map(({ name, value }) => ({ name, value: { ...value, disabled: true } }))];
};

/** How long a write can be under way whose caller gave up, in ms. */
const underWayMs = 60_000;

/** Whether the record of an address may yet appear, because it was not told if making it succeeded. */
export const mayStillArrive = ({ now }: IpamNode, { isPending, releasedAt }: FixedNote): boolean =>
  isPending === true && releasedAt !== undefined && now() - Date.parse(releasedAt) < underWayMs;

/** Whether an address that a container here has is certainly its own still. */
export const isStillOurs = (
  state: NodeState,
  { address, containerId }: Pick<Reservation, 'address' | 'containerId'>,
): boolean => {
  const note = state.fixed[address];
  if (note === undefined) return isInOwnBlock(state, address);
  return note.isOurs && note.containerId === containerId;
};

const fixedNotes = (ipam: IpamNode, state: NodeState, records: StoredRecord[]): NodeState['fixed'] => {
  const notes: NodeState['fixed'] = {};
  for (const record of records) {
    const value = addressValue(record);
    const isOurs = isOwn(ipam, record) && value.containerId !== undefined;
    const known = state.fixed[value.address];
    if (isOurs) notes[value.address] = { ...noteOf(value, true), ...pendingRelease(known, value) };
    else if (isInOwnBlock(state, value.address)) notes[value.address] = noteOf(value, false);
  }
  for (const [address, note] of Object.entries(state.fixed)) {
    if (notes[address] === undefined && mayStillArrive(ipam, note)) notes[address] = note;
  }
  return notes;
};

const noteOf = (value: AddressValue, isOurs: boolean): FixedNote => {
  const { pool, key, holdSeconds, containerId, ifname, isPending } = value;
  return {
    pool,
    isOurs,
    ...(key === undefined ? {} : { key }),
    ...(holdSeconds === undefined ? {} : { holdSeconds }),
    ...(isPending === undefined ? {} : { isPending }),
    ...(containerId === undefined ? {} : { containerId }),
    ...(ifname === undefined ? {} : { ifname }),
  };
};

const pendingRelease = (known: FixedNote | undefined, value: AddressValue): Partial<FixedNote> =>
  known?.releasedAt !== undefined && known.containerId === value.containerId
    ? { releasedAt: known.releasedAt }
    : {};
