import { type Cidr, networkOf } from '../kernel/address-math.ts';
import type { Span } from '../store/reservations/memory-index.ts';
import { type Pool, unusableOf } from './pool.ts';
import { spanOf, spansOverlap, subtract } from './ranges.ts';

/**
 * What of a block is given without being asked for: not what the pool excludes or reserves, nor what the pool no
 * longer contains after it was made smaller. With `ownSubnet`, where pods see the block as their subnet, it also lacks
 * the addresses that name this, and its gateway.
 */
export const freelyGiven = (pool: Pool, block: Cidr, ownSubnet: boolean): Span[] => {
  const holes = [...unusableOf(pool), ...pool.reserved];
  if (ownSubnet) holes.push(...namingAddresses(block));
  return clip(spanOf(block), spanOf(pool.cidr)).flatMap((span) => subtract(span, holes));
};

/** The addresses that a subnet of a block's size uses for itself: network, gateway, and broadcast in IPv4. */
export const namingAddresses = (block: Cidr): Span[] => {
  const { family, first, last } = spanOf(block);
  if (last - first < 3n) return [];
  const ends = { family, first: last, last };
  return [{ family, first, last: first + 1n }, ...(family === 4 ? [ends] : [])];
};

/** The block of a pool's own size that an address is in. */
export const blockAround = ({ family, value }: { family: 4 | 6; value: bigint }, pool: Pool): Cidr =>
  networkOf({ family, value, prefixLength: pool.blockSize });

/**
 * The first block that a node may claim: free, and with something to give. The candidates come in an order of the
 * node's own, which is a permutation of all blocks of the pool, so that nodes that claim at once rarely want the same.
 * `seed` names the node (and its network). Undefined when the pool has none.
 */
export const firstClaimable = (
  pool: Pool,
  seed: string,
  taken: readonly Span[],
  ownSubnet: boolean,
): Cidr | undefined => {
  const count = 1n << BigInt(pool.blockSize - pool.cidr.prefixLength);
  const size = spanOf({ ...pool.cidr, prefixLength: pool.blockSize });
  const length = size.last - size.first + 1n;
  const isTaken = lookup(pool, taken, length, count);
  const { start, stride } = orderOf(seed, pool, count);
  for (let step = 0n; step < count && step < longestSearch; step++) {
    const index = (start + step * stride) % count;
    if (isTaken(index)) continue;
    const block = { ...pool.cidr, value: pool.cidr.value + index * length, prefixLength: pool.blockSize };
    if (freelyGiven(pool, block, ownSubnet).length > 0) return block;
  }
  return undefined;
};

/** A pool of more blocks than this (IPv6) is not looked through to its end. */
const longestSearch = 1n << 20n;

/** The number of blocks is a power of two, so that any odd stride meets each of them once. */
const orderOf = (seed: string, pool: Pool, count: bigint): { start: bigint; stride: bigint } => {
  const hash = BigInt(Bun.hash(`${seed} ${pool.name}`));
  const other = BigInt(Bun.hash(`stride ${seed} ${pool.name}`));
  return { start: hash % count, stride: (other % count) | 1n };
};

/** Whether the block of an index overlaps one that is taken, whatever size that has. */
const lookup = (
  pool: Pool,
  taken: readonly Span[],
  length: bigint,
  count: bigint,
): ((index: bigint) => boolean) => {
  const single = new Set<bigint>();
  const wide: { first: bigint; last: bigint }[] = [];
  for (const span of taken) {
    if (!spansOverlap(span, spanOf(pool.cidr))) continue;
    const first = (span.first - pool.cidr.value) / length;
    const last = (span.last - pool.cidr.value) / length;
    if (first === last) single.add(first);
    else wide.push({ first, last: last < count ? last : count - 1n });
  }
  return (index) => single.has(index) || wide.some(({ first, last }) => first <= index && index <= last);
};

const clip = (span: Span, { family, first, last }: Span): Span[] => {
  if (span.family !== family) return [];
  return subtract(span, [
    { family, first: -1n, last: first - 1n },
    { family, first: last + 1n, last: 1n << 128n },
  ]);
};
