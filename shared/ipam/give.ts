import { type Address, type Cidr, formatAddress, parseAddress, parseCidr } from '../kernel/address-math.ts';
import { takeFree } from '../store/reservations/allocate.ts';
import type { Span } from '../store/reservations/memory-index.ts';
import type { Owner, Reservation } from '../store/reservations/record.ts';
import { spanHolds } from '../store/reservations/spans.ts';
import type { ReservationStore } from '../store/reservations/store.ts';
import { freelyGiven } from './blocks.ts';
import type { NodeState } from './node-state.ts';
import type { Pool } from './pool.ts';
import { countOf, spanOf, subtract } from './ranges.ts';

/** An address that a container has. */
export interface Given {
  address: Address;
  pool: Pool;
  /** The block it lies in, where that is this node's. */
  block: Cidr | undefined;
}

/** A block of this node, with its pool as it is now. */
export interface OwnBlock {
  cidr: Cidr;
  pool: Pool;
}

/** The node's blocks of some pools, in the pools' order. */
export const ownBlocks = (state: NodeState, pools: readonly Pool[]): OwnBlock[] =>
  pools.flatMap((pool) =>
    state.blocks.flatMap((block) => {
      const cidr = block.pool === pool.name ? parseCidr(block.cidr) : undefined;
      return cidr === undefined ? [] : [{ cidr, pool }];
    }),
  );

/** What of a block can be given to anybody: not what is fixed for somebody. */
export const givable = (state: NodeState, { cidr, pool }: OwnBlock, ownSubnet: boolean): Span[] => {
  const block = spanOf(cidr);
  const fixed = Object.keys(state.fixed).flatMap((text) => {
    const address = parseAddress(text);
    if (address === undefined || !spanHolds(block, address)) return [];
    return [{ family: address.family, first: address.value, last: address.value }];
  });
  return freelyGiven(pool, cidr, ownSubnet).flatMap((span) => subtract(span, fixed));
};

/** Whether more than `count` addresses can still be given of some blocks; those claimed last, which have most, first. */
export const hasMoreFree = (
  store: ReservationStore,
  state: NodeState,
  blocks: readonly OwnBlock[],
  ownSubnet: boolean,
  count: number,
): boolean => {
  let free = 0;
  for (const block of blocks.toReversed()) {
    for (const span of givable(state, block, ownSubnet)) {
      free += store.countFree(span, count + 1 - free);
      if (free > count) return true;
    }
  }
  return false;
};

/** How many addresses can still be given of some blocks. */
export const countFree = (
  store: ReservationStore,
  state: NodeState,
  blocks: readonly OwnBlock[],
  ownSubnet: boolean,
): number => {
  let free = 0;
  for (const block of blocks) {
    const spans = givable(state, block, ownSubnet);
    free += Number(countOf(spans)) - spans.reduce((used, span) => used + store.countUsed(span), 0);
  }
  return free;
};

/**
 * Takes an address of a family out of the node's blocks: of the first pool that has one. Round robin within a pool, so
 * that an address rests before it is given again. Undefined when all are full.
 */
export const giveAny = (
  store: ReservationStore,
  state: NodeState,
  owner: Owner,
  netns: string,
  pools: readonly Pool[],
  ownSubnet: boolean,
): (Given & { reservation: Reservation }) | undefined => {
  for (const pool of pools) {
    const blocks = ownBlocks(state, [pool]);
    const spans = blocks.flatMap((block) => givable(state, block, ownSubnet));
    if (spans.length === 0) continue;
    const set = { id: pointerOf(state, pool), spans, excluded: [] };
    const reservation = takeFree(store, owner, netns, set);
    if (reservation === undefined) continue;
    store.setPointer(set.id, reservation.address);
    return { ...givenOf(reservation.address, blocks, pool), reservation };
  }
  return undefined;
};

/** A held address with its pool and block; the pool is undefined when it is no longer known. */
export const describeHeld = (
  state: NodeState,
  pools: readonly Pool[],
  { address: text }: Pick<Reservation, 'address'>,
): Omit<Given, 'pool'> & { pool: Pool | undefined } => {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`a reservation for "${text}", which is no address`);
  const block = ownBlocks(state, pools).find(({ cidr }) => spanHolds(spanOf(cidr), address));
  const pool = block?.pool ?? pools.find(({ cidr }) => spanHolds(spanOf(cidr), address));
  return { address, pool, block: block?.cidr };
};

const givenOf = (text: string, blocks: readonly OwnBlock[], pool: Pool): Given => {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${text} was given, which is no address`);
  const block = blocks.find(({ cidr }) => spanHolds(spanOf(cidr), address));
  return { address, pool, block: block?.cidr };
};

/** The pointer of a pool is kept by the pool's place in the state: after a change of pools another place is as good. */
const pointerOf = (state: NodeState, pool: Pool): number => {
  const index = state.pools.findIndex(({ name }) => name === pool.name);
  return index < 0 ? (pool.cidr.family === 4 ? 0 : 1) : index;
};

/** The text of an address, for keys of the state. */
export const textOf = (address: Address): string => formatAddress(address);
