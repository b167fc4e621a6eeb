import { CniError, ErrorCode } from '../cni/errors.ts';
import { type Cidr, formatCidr, parseAddress } from '../kernel/address-math.ts';
import { type Datastore, hasProblem, type StoredRecord } from '../store/datastore/datastore.ts';
import type { Span } from '../store/reservations/memory-index.ts';
import { spanHolds } from '../store/reservations/spans.ts';
import { firstClaimable } from './blocks.ts';
import { type IpamNode, seedOf, withNode } from './node.ts';
import type { Pool } from './pool.ts';
import { spanOf, spansOverlap } from './ranges.ts';
import { blockPath, blockText } from './record-names.ts';
import type { BlockValue } from './records.ts';
import { addressValue, blockCidr, remoteCall, timeText, type View } from './sync.ts';

/** `none`: the pool has no block left. `stale`: what this claim was decided by has changed; sync, and decide anew. */
export type ClaimOutcome = { block: Cidr } | 'none' | 'stale';

/**
 * Claims a block of a pool for this node, by making its record: whoever makes it has the block. Under the remote lock,
 * after a sync that gave `view`. Another node that was faster costs a further attempt with the next candidate.
 *
 * Afterwards the pools are read again. Were they edited meanwhile, another node may cut blocks of another size, so that
 * two records overlap without having the same name; the block goes back then. Whoever reads the pools after that edit
 * reads the blocks still later, and sees this one. Throws CniError 11 after too many collisions, DatastoreError.
 */
export const claimBlock = async (
  ipam: IpamNode,
  datastore: Datastore,
  pool: Pool,
  view: View,
): Promise<ClaimOutcome> => {
  const taken = view.blocks.flatMap((record) => {
    const block = blockCidr(record);
    return block === undefined ? [] : [spanOf(block)];
  });
  for (let collisions = 0; collisions < mostCollisions; collisions++) {
    const block = firstClaimable(pool, seedOf(ipam), taken, ipam.ownSubnet);
    if (block === undefined) return 'none';
    const record = await create(ipam, datastore, pool, block);
    if (record === undefined) {
      taken.push(spanOf(block));
      await Bun.sleep(Math.random() * Math.min(2 ** collisions, longestPauseMs));
      continue;
    }
    if (await isOvertaken(ipam, datastore, view, record)) {
      await datastore.remove(record, remoteCall);
      return 'stale';
    }
    await takeOver(ipam, datastore, pool, block);
    view.blocks.push(record);
    return { block };
  }
  throw new CniError(
    ErrorCode.tryAgainLater,
    `no block of pool ${pool.name} could be claimed: other nodes were faster ${mostCollisions} times`,
    { details: 'Many nodes claim blocks at this moment. Try again.' },
  );
};

const mostCollisions = 100;
const longestPauseMs = 30;

/** The record made; undefined when another node has it. */
const create = async (
  ipam: IpamNode,
  datastore: Datastore,
  pool: Pool,
  block: Cidr,
): Promise<StoredRecord | undefined> => {
  const { node, network } = ipam;
  const claimedAt = timeText(ipam);
  const value: BlockValue = { cidr: blockText(block), pool: pool.name, node, network, claimedAt };
  try {
    return await datastore.create(blockPath(block), value, remoteCall);
  } catch (error) {
    if (hasProblem(error, 'exists')) return undefined;
    throw error;
  }
};

const isOvertaken = async (
  ipam: IpamNode,
  datastore: Datastore,
  view: View,
  record: StoredRecord,
): Promise<boolean> => {
  if (ipam.pools === undefined) {
    const versions = (pools: StoredRecord[]): string =>
      pools.map(({ path, version }) => `${path} ${version}`).join();
    return versions(await datastore.list('pools/', remoteCall)) !== versions(view.pools);
  }
  // Pools of a configuration have no versions: two nodes that differ in them both look for the other's block.
  const own = blockCidr(record);
  const blocks = await datastore.list('blocks/', remoteCall);
  return blocks.some((other) => {
    const block = blockCidr(other);
    if (own === undefined || block === undefined || other.path === record.path) return false;
    return spansOverlap(spanOf(block), spanOf(own));
  });
};

/** Writes the block down, with the fixed addresses in it that others have had before: these are not given. */
const takeOver = async (ipam: IpamNode, datastore: Datastore, pool: Pool, block: Cidr): Promise<void> => {
  const span = spanOf(block);
  const addresses = (await datastore.list('addresses/', remoteCall)).filter((record) =>
    isIn(span, addressValue(record).address),
  );
  await withNode(ipam, (_, state) => {
    state.blocks.push({ cidr: formatCidr(block), pool: pool.name });
    for (const record of addresses) {
      const { address, pool: name, key } = addressValue(record);
      state.fixed[address] ??= { pool: name, isOurs: false, ...(key === undefined ? {} : { key }) };
    }
  });
};

const isIn = (span: Span, text: string): boolean => {
  const address = parseAddress(text);
  return address !== undefined && spanHolds(span, address);
};
