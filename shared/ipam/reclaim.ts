import { type Datastore, hasProblem, type StoredRecord } from '../store/datastore/datastore.ts';
import type { AddressValue, BlockValue } from './records.ts';
import { remoteCall, type View } from './sync.ts';

export interface Reclaimed {
  /** The blocks that anybody can claim now. */
  blocks: string[];
  /** Fixed addresses that are no longer in use. */
  addresses: string[];
  /** Records newly marked as those of a node that is gone. */
  marked: number;
}

/**
 * Takes back what nodes have that are gone. A record of such a node is marked first; when it is still marked after the
 * grace time, it goes. Any node may do this at any time, as each step compares versions: a node that comes back removes
 * the marks, and one that is cut off stops giving addresses before the grace time is over (`IpamNode.graceMs`).
 * `nodes` are all there are; an empty list is taken for a failure to find out. Throws DatastoreError.
 */
export const reclaim = async (
  datastore: Datastore,
  view: View,
  nodes: ReadonlySet<string>,
  graceMs: number,
  now: number,
): Promise<Reclaimed> => {
  const reclaimed: Reclaimed = { blocks: [], addresses: [], marked: 0 };
  if (nodes.size === 0) return reclaimed;
  for (const record of [...view.blocks, ...view.addresses]) {
    const isBlock = record.path.startsWith('blocks/');
    const value = record.value as BlockValue | AddressValue;
    const isInUse = isBlock || (value as AddressValue).containerId !== undefined;
    if (!isInUse) continue;
    if (nodes.has(value.node)) {
      // Its own sync removes the mark of a block; an address has nobody who looks at it.
      if (!isBlock && value.missingSince !== undefined) await change(datastore, record, without(value));
      continue;
    }
    const since = value.missingSince === undefined ? Number.NaN : Date.parse(value.missingSince);
    if (Number.isNaN(since)) {
      const marked = { ...value, missingSince: new Date(now).toISOString() };
      if (await change(datastore, record, marked)) reclaimed.marked++;
    } else if (now - since > graceMs) {
      if (isBlock && (await change(datastore, record, undefined)))
        reclaimed.blocks.push((value as BlockValue).cidr);
      if (!isBlock && (await change(datastore, record, released(value as AddressValue, now)))) {
        reclaimed.addresses.push((value as AddressValue).address);
      }
    }
  }
  return reclaimed;
};

const without = <T extends { missingSince?: string }>({
  missingSince: _,
  ...value
}: T): Omit<T, 'missingSince'> => value;

const released = (value: AddressValue, now: number): AddressValue => {
  const { containerId: _, ifname: __, missingSince: ___, ...kept } = value;
  return { ...kept, releasedAt: new Date(now).toISOString() };
};

const change = async (
  datastore: Datastore,
  record: StoredRecord,
  value: StoredRecord['value'] | undefined,
): Promise<boolean> => {
  try {
    if (value === undefined) await datastore.remove(record, remoteCall);
    else await datastore.replace(record, value, remoteCall);
    return true;
  } catch (error) {
    if (hasProblem(error, 'conflict', 'not-found')) return false;
    throw error;
  }
};
