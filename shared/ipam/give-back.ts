import { parseCidr } from '../kernel/address-math.ts';
import { type Datastore, hasProblem, type StoredRecord } from '../store/datastore/datastore.ts';
import { heldUntil } from './fixed.ts';
import { type IpamNode, poolsOf, withNode } from './node.ts';
import type { FixedNote } from './node-state.ts';
import { spanOf } from './ranges.ts';
import type { AddressValue } from './records.ts';
import {
  addressValue,
  blockCidr,
  isInOwnBlock,
  isOwn,
  mayStillArrive,
  remoteCall,
  timeText,
  type View,
} from './sync.ts';

/**
 * Tells the datastore which fixed addresses of this node no container has any more: they are kept for their key, or
 * free. What was noted while it was away is told now. Under the remote lock. Throws DatastoreError.
 */
export const tellReleases = async (ipam: IpamNode, datastore: Datastore): Promise<number> => {
  const pending = await withNode(ipam, (_, state) =>
    Object.entries(state.fixed).filter(([, note]) => note.releasedAt !== undefined),
  );
  if (pending.length === 0) return 0;
  const addresses = await datastore.list('addresses/', remoteCall);
  for (const [address, note] of pending) {
    const record = addresses.find((candidate) => addressValue(candidate).address === address);
    if (record === undefined && mayStillArrive(ipam, note)) continue;
    const isGone =
      record === undefined ||
      (isHeldBy(ipam, record, note) &&
        (await releaseRecord(datastore, record, note.releasedAt ?? timeText(ipam))) === 'removed');
    await forget(ipam, address, note, isGone);
  }
  return pending.length;
};

/** Marks as free what the datastore says this node's containers have, and none has. Under the remote lock. */
export const releaseOrphans = async (ipam: IpamNode, datastore: Datastore, view: View): Promise<number> => {
  const orphans = await withNode(ipam, (store) =>
    view.addresses.filter((record) => {
      const { address, containerId } = addressValue(record);
      if (!isOwn(ipam, record) || containerId === undefined) return false;
      return store.holderOf(address)?.owner?.containerId !== containerId;
    }),
  );
  for (const record of orphans) {
    const isGone = (await releaseRecord(datastore, record, timeText(ipam))) === 'removed';
    await withNode(ipam, (_, state) => {
      const { address } = addressValue(record);
      const note = state.fixed[address];
      if (note === undefined) return;
      if (!isGone && isInOwnBlock(state, address)) state.fixed[address] = { ...note, isOurs: false };
      else delete state.fixed[address];
    });
  }
  return orphans.length;
};

/**
 * Returns empty blocks but one of each pool, and all of pools that give no more. First the node forgets the block, then
 * the record goes; killed in between, the next sync finds the block again. Under the remote lock, after a sync.
 */
export const returnEmptyBlocks = async (
  ipam: IpamNode,
  datastore: Datastore,
  view: View,
): Promise<string[]> => {
  const surplus = await withNode(ipam, (store, state) => {
    const active = new Set(
      poolsOf(ipam, state).pools.flatMap(({ name, disabled }) => (disabled ? [] : [name])),
    );
    const spared = new Set<string>();
    const empty = state.blocks.filter(({ cidr, pool }) => {
      const block = parseCidr(cidr);
      if (block === undefined || store.countUsed(spanOf(block)) > 0) return false;
      if (!active.has(pool) || spared.has(pool)) return true;
      spared.add(pool);
      return false;
    });
    state.blocks = state.blocks.filter((block) => !empty.includes(block));
    state.fixed = Object.fromEntries(
      Object.entries(state.fixed).filter(([address, note]) => note.isOurs || isInOwnBlock(state, address)),
    );
    return empty.map(({ cidr }) => cidr);
  });
  const returned: string[] = [];
  for (const cidr of surplus) {
    const record = view.blocks.find((candidate) => isOwn(ipam, candidate) && candidate.value.cidr === cidr);
    if (record === undefined || blockCidr(record) === undefined) continue;
    try {
      await datastore.remove(record, remoteCall);
      returned.push(cidr);
    } catch (error) {
      if (!hasProblem(error, 'conflict', 'not-found')) throw error;
    }
  }
  view.blocks = view.blocks.filter(
    (record) => !(isOwn(ipam, record) && returned.includes(String(record.value.cidr))),
  );
  return returned;
};

/** Removes the records of addresses that are kept for nobody any longer. */
export const expireHeld = async (datastore: Datastore, view: View, now: number): Promise<number> => {
  let expired = 0;
  for (const record of view.addresses) {
    const value = addressValue(record);
    if (value.containerId !== undefined || heldUntil(value) > now) continue;
    if (await removed(datastore, record)) expired++;
  }
  return expired;
};

const isHeldBy = (ipam: IpamNode, record: StoredRecord, { containerId, ifname }: FixedNote): boolean => {
  const value = addressValue(record);
  return isOwn(ipam, record) && value.containerId === containerId && value.ifname === ifname;
};

/** `changed`: it is kept for its key, or another node changed it. */
const releaseRecord = async (
  datastore: Datastore,
  record: StoredRecord,
  releasedAt: string,
): Promise<'removed' | 'changed'> => {
  const { containerId: _, ifname: __, missingSince: ___, ...value }: AddressValue = addressValue(record);
  if ((value.holdSeconds ?? 0) === 0 || value.isPending === true)
    return (await removed(datastore, record)) ? 'removed' : 'changed';
  try {
    await datastore.replace(record, { ...value, releasedAt }, remoteCall);
  } catch (error) {
    // Another node has it by now, or it is gone: so nothing is to be told.
    if (!hasProblem(error, 'conflict', 'not-found')) throw error;
  }
  return 'changed';
};

const removed = async (datastore: Datastore, record: StoredRecord): Promise<boolean> => {
  try {
    await datastore.remove(record, remoteCall);
    return true;
  } catch (error) {
    if (hasProblem(error, 'conflict', 'not-found')) return false;
    throw error;
  }
};

/** An address of this node's blocks that still has a record stays a note, so that nobody else gets it. */
const forget = (ipam: IpamNode, address: string, told: FixedNote, isGone: boolean): Promise<void> =>
  withNode(ipam, (_, state) => {
    const note = state.fixed[address];
    if (note === undefined || note.containerId !== told.containerId) return;
    if (isGone || !isInOwnBlock(state, address)) {
      delete state.fixed[address];
      return;
    }
    const { releasedAt: _released, containerId: _container, ifname: _ifname, ...rest } = note;
    state.fixed[address] = { ...rest, isOurs: false };
  });
