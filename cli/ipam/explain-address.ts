import { firstClaimable } from '../../shared/ipam/blocks.ts';
import type { Choice } from '../../shared/ipam/choose.ts';
import { heldUntil, stickyAddress } from '../../shared/ipam/fixed.ts';
import { type IpamNode, seedOf } from '../../shared/ipam/node.ts';
import { type Pool, unusableOf } from '../../shared/ipam/pool.ts';
import { spanOf } from '../../shared/ipam/ranges.ts';
import type { AddressRequest } from '../../shared/ipam/request.ts';
import { addressValue, blockCidr, blockValue, isOwn } from '../../shared/ipam/sync.ts';
import { type Address, formatAddress, formatCidr, parseAddress } from '../../shared/kernel/address-math.ts';
import { spanHolds } from '../../shared/store/reservations/spans.ts';
import type { LocalView, RemoteView } from './observe.ts';

/** Where an address of one family would come from. */
export interface Explained {
  family: 4 | 6;
  /** What is looked at, in order, a sentence each. */
  steps: string[];
  /**
   * `sticky`: the address that the pod had. `requested`: the one it asks for. `block`: any one of a block the node has.
   * `claim`: of a block that the node would claim. `unknown`: of a block another node has, if that is not full.
   */
  source: 'sticky' | 'requested' | 'block' | 'claim' | 'unknown' | 'none';
  result: string;
  pool?: string;
  block?: string;
  address?: string;
}

type Outcome = Omit<Explained, 'family' | 'steps'>;

/** The families that the pod would get an address of. */
export const familiesOf = (
  wanted: readonly (4 | 6)[] | undefined,
  { pools }: Choice,
  { requested }: AddressRequest,
): (4 | 6)[] => {
  if (wanted !== undefined) return [...wanted];
  const present = new Set([...pools.map(({ cidr }) => cidr), ...requested].map(({ family }) => family));
  return ([4, 6] as const).filter((family) => present.has(family));
};

/** Goes the way that an ADD goes for one family. `local` is undefined for another node, whose use is known there only. */
export const explainFamily = (
  ipam: IpamNode,
  family: 4 | 6,
  request: AddressRequest,
  choice: Choice,
  remote: RemoteView,
  local: LocalView | undefined,
): Explained => {
  const steps: string[] = [];
  const wanted = request.requested.find((address) => address.family === family);
  const outcome =
    wanted === undefined
      ? (ofKey(ipam, family, request, remote, steps) ?? ofPools(ipam, family, choice, remote, local, steps))
      : ofRequest(ipam, wanted, request, choice, remote, local, steps);
  return { family, steps, ...outcome };
};

const ofKey = (
  ipam: IpamNode,
  family: 4 | 6,
  { sticky }: AddressRequest,
  { addresses, pools, blocks }: RemoteView,
  steps: string[],
): Outcome | undefined => {
  if (sticky === undefined) return undefined;
  const { key, holdSeconds } = sticky;
  const kept = stickyAddress({ pools: [], blocks, addresses }, key, family);
  if (kept === undefined) {
    steps.push(
      `It is sticky by the key ${key}, which has no IPv${family} address yet; it is held for ${holdSeconds} s.`,
    );
    return undefined;
  }
  const { address, containerId, node } = kept;
  const pool = poolAround(pools, address);
  if (pool === undefined) {
    steps.push(`The key ${key} has ${address}, but no pool has this address any more.`);
    return undefined;
  }
  steps.push(
    containerId === undefined
      ? `The key ${key} has ${address}, which is kept until ${new Date(heldUntil(kept)).toISOString()}.`
      : `The key ${key} has ${address}, which container ${containerId} on node ${node} has now${node === ipam.node ? ': that must be removed first' : ': it is taken over'}.`,
  );
  return { source: 'sticky', address, pool: pool.name, result: `${address} of pool ${pool.name}, as before` };
};

const ofRequest = (
  ipam: IpamNode,
  wanted: Address,
  { sticky }: AddressRequest,
  choice: Choice,
  { pools, addresses, blocks }: RemoteView,
  local: LocalView | undefined,
  steps: string[],
): Outcome => {
  const address = formatAddress(wanted);
  steps.push(`It asks for ${address}.`);
  const none = (result: string): Outcome => ({ source: 'none', address, result });
  const pool = poolAround(pools, address);
  if (pool === undefined) return none(`none: no pool has ${address}`);
  const verdict = choice.trail.find((each) => each.pool === pool.name);
  if (verdict?.isEligible !== true) return none(`none: it is in pool ${pool.name}; ${verdict?.reason}`);
  steps.push(
    `It is in pool ${pool.name} ${formatCidr(pool.cidr)}, which the pod may use: ${verdict.reason}.`,
  );
  if (unusableOf(pool).some((span) => spanHolds(span, wanted)))
    return none('none: it is excluded from the pool, or its gateway');
  const fixed = addresses.map(addressValue).find((value) => value.address === address);
  if (fixed !== undefined && (fixed.key === undefined || fixed.key !== sticky?.key)) {
    if (fixed.containerId !== undefined)
      return none(`none: container ${fixed.containerId} on node ${fixed.node} has it`);
    if (heldUntil(fixed) > ipam.now())
      return none(`none: it is kept for ${fixed.key} until ${new Date(heldUntil(fixed)).toISOString()}`);
  }
  const block = blocks.find((record) => {
    const cidr = blockCidr(record);
    return cidr !== undefined && spanHolds(spanOf(cidr), wanted);
  });
  if (block !== undefined && !isOwn(ipam, block) && fixed === undefined)
    return none(`none: it belongs to block ${blockValue(block).cidr} of node ${blockValue(block).node}`);
  const holder = local?.held.find((each) => each.address === address && !each.isStale);
  if (holder !== undefined) return none(`none: container ${holder.containerId} on this node holds it`);
  steps.push(
    block !== undefined && isOwn(ipam, block)
      ? `It is in this node's block ${blockValue(block).cidr}.`
      : "It is in no block of another node: a record in the datastore makes it this pod's.",
  );
  return {
    source: 'requested',
    address,
    pool: pool.name,
    result: `${address} of pool ${pool.name}, as requested`,
  };
};

const ofPools = (
  ipam: IpamNode,
  family: 4 | 6,
  { pools }: Choice,
  remote: RemoteView,
  local: LocalView | undefined,
  steps: string[],
): Outcome => {
  const suitable = pools.filter(({ cidr }) => cidr.family === family);
  if (suitable.length === 0)
    return { source: 'none', result: `none: no pool with IPv${family} is for this pod` };
  for (const pool of suitable) {
    const outcome = ofPool(ipam, pool, remote, local, steps);
    if (outcome !== undefined) return outcome;
  }
  return {
    source: 'none',
    result: `none: the pools for this pod are full. Add a pool, enlarge one, or return blocks: podwire ipam check`,
  };
};

/** The node's blocks of a pool come before another block of it, and that before the next pool. */
const ofPool = (
  ipam: IpamNode,
  pool: Pool,
  { blocks: all }: RemoteView,
  local: LocalView | undefined,
  steps: string[],
): Outcome | undefined => {
  const name = `pool ${pool.name} ${formatCidr(pool.cidr)}`;
  const own = all.filter((record) => isOwn(ipam, record) && blockValue(record).pool === pool.name);
  const known = local?.blocks.filter((block) => block.pool === pool.name) ?? [];
  for (const { cidr, size, free } of known) {
    steps.push(`${name}: block ${cidr} is this node's, with ${free} of ${size} addresses free.`);
    if (free > 0)
      return {
        source: 'block',
        pool: pool.name,
        block: cidr,
        result: `an address of ${cidr}, without asking the datastore`,
      };
  }
  const next = firstClaimable(pool, seedOf(ipam), takenOf(all), ipam.ownSubnet);
  const claim = next && formatCidr(next);
  const [first] = own;
  if (local === undefined && first !== undefined) {
    const cidrs = own.map((record) => blockValue(record).cidr).join(', ');
    steps.push(
      `${name}: node ${ipam.node} has ${cidrs}; how many of these addresses are free is known there only.`,
    );
    return {
      source: 'unknown',
      pool: pool.name,
      block: blockValue(first).cidr,
      result: `an address of ${cidrs}, or of ${claim === undefined ? 'the next pool' : `${claim}, which it would claim`} where these are full`,
    };
  }
  if (claim === undefined) {
    steps.push(`${name}: every block is claimed.`);
    return undefined;
  }
  steps.push(
    `${name}: ${known.length === 0 ? 'the node has no block of it' : 'these are full'}; ${claim} is free, and the first in the node's order.`,
  );
  return {
    source: 'claim',
    pool: pool.name,
    block: claim,
    result: `an address of ${claim}, which the node claims`,
  };
};

const takenOf = (blocks: RemoteView['blocks']) =>
  blocks.flatMap((record) => {
    const cidr = blockCidr(record);
    return cidr === undefined ? [] : [spanOf(cidr)];
  });

const poolAround = (pools: readonly Pool[], text: string): Pool | undefined => {
  const address = parseAddress(text);
  return address && pools.find(({ cidr }) => spanHolds(spanOf(cidr), address));
};
