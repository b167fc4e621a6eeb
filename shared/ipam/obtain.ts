import { CniError, ErrorCode, toCniError } from '../cni/errors.ts';
import { type Address, formatAddress, formatCidr } from '../kernel/address-math.ts';
import { type Datastore, hasProblem } from '../store/datastore/datastore.ts';
import type { Owner, Reservation } from '../store/reservations/record.ts';
import { isSameAddress, spanHolds } from '../store/reservations/spans.ts';
import type { ReservationStore } from '../store/reservations/store.ts';
import { type Choice, choosePools, describeTrail } from './choose.ts';
import { claimBlock } from './claim.ts';
import { stickyAddress, takeFixed } from './fixed.ts';
import { describeHeld, type Given, giveAny } from './give.ts';
import { mustLookAhead } from './look-ahead.ts';
import { type IpamNode, poolsOf, withNode, withRemote } from './node.ts';
import type { NodeState } from './node-state.ts';
import { type Pool, unusableOf } from './pool.ts';
import { spanOf } from './ranges.ts';
import type { AddressRequest } from './request.ts';
import { isInOwnBlock, isOwn, isStillOurs, syncNode, timeText, type View } from './sync.ts';

export interface Obtained {
  given: Given[];
  /** The next block should be claimed soon (`stayAhead`). */
  isLow: boolean;
}

/**
 * Gives a container one address of each family wanted; the same again when it has some already. Without a request or
 * a sticky key, and with an address left in the node's blocks, nothing remote is done. On failure everything taken by
 * this call is free again.
 *
 * Throws CniError 102 (none free, or the requested one is not to be had), 11 (the datastore is away, and needed),
 * 7 (no pool is for this pod), 5.
 */
export const obtain = async (ipam: IpamNode, request: AddressRequest): Promise<Obtained> => {
  const before = new Set<string>();
  try {
    const local = await withNode(ipam, (store, state) => {
      for (const { address } of store.ownedBy(request.owner)) before.add(address);
      const tried = attempt(ipam, store, state, request, false, new Set());
      const isLow = tried.needs === undefined && mustLookAhead(ipam, store, state, request.asker);
      return { ...tried, isLow };
    });
    if (local.needs === undefined) return local;
    return await remotely(ipam, request, local.needs, () =>
      withRemote(ipam, (datastore) => obtainRemotely(ipam, datastore, request), ipam.options),
    );
  } catch (error) {
    await undo(ipam, request.owner, before);
    throw error;
  }
};

/** When the datastore is away, any pool's address at hand does; without one, tells why the datastore was needed. */
const remotely = async (
  ipam: IpamNode,
  request: AddressRequest,
  { kind }: Need,
  body: () => Promise<Obtained>,
): Promise<Obtained> => {
  try {
    return await body();
  } catch (error) {
    if (!hasProblem(error, 'unavailable')) throw error;
    if (kind === 'block') {
      const { given, needs } = await withNode(ipam, (store, state) => {
        const all = new Set(poolsOf(ipam, state).pools.map(({ name }) => name));
        return attempt(ipam, store, state, request, false, all);
      });
      if (needs === undefined) return { given, isLow: false };
    }
    throw new CniError(
      ErrorCode.tryAgainLater,
      `${needTexts[kind]}, and the datastore is away: ${error.message}`,
      {
        details: error.details,
        cause: error,
      },
    );
  }
};

const needTexts: Record<Need['kind'], string> = {
  sync: 'this node has not heard from the datastore for too long to know its blocks and pools',
  confirm: 'the container has a fixed address, which may have been taken over elsewhere',
  fixed: 'the requested address is in no block of this node',
  sticky: 'the pod has a sticky address, which is kept in the datastore',
  block: 'all blocks of this node are full',
  nothing: 'all blocks of this node are full',
};

/** What is missing when the node's own blocks do not do. */
type Need =
  /** The node knows too little: it never heard from the datastore, or too long ago. */
  | { kind: 'sync' }
  /** The container has a fixed address, which another node may have taken over. */
  | { kind: 'confirm' }
  /** An address that only the datastore can give. */
  | { kind: 'fixed'; address: Address; pool: Pool }
  /** A sticky key has to be looked up, and the address to be written down. */
  | { kind: 'sticky'; family: 4 | 6 }
  /** A block of this pool. */
  | { kind: 'block'; pool: Pool }
  /** A block, but none of the pools has one left. */
  | { kind: 'nothing'; family: 4 | 6; choice: Choice };

interface Attempt {
  given: Given[];
  needs: Need | undefined;
}

/** How often a claim is decided anew because the pools were edited meanwhile. */
const mostRounds = 20;

const obtainRemotely = async (
  ipam: IpamNode,
  datastore: Datastore,
  request: AddressRequest,
): Promise<Obtained> => {
  const tried = new Set<string>();
  const again = (isSynced: boolean): Promise<Attempt> =>
    withNode(ipam, (store, state) => attempt(ipam, store, state, request, isSynced, tried));
  // Another ADD may have claimed a block while this one waited for the lock.
  let { given, needs } = await again(false);
  for (let round = 0; needs !== undefined && round < mostRounds; round++) {
    const view = await syncNode(ipam, datastore);
    ({ given, needs } = await again(true));
    while (needs !== undefined) {
      if (needs.kind === 'nothing') throw exhausted(ipam, view, needs);
      if (needs.kind === 'fixed') await takeFixed(ipam, datastore, view, needs.pool, needs.address, request);
      else if (needs.kind === 'sticky') {
        const outcome = await settleSticky(ipam, datastore, view, needs.family, request, tried);
        if (outcome === 'stale') break;
      } else if (needs.kind === 'block') {
        if ((await claimIn(ipam, datastore, view, needs.pool, tried)) === 'stale') break;
      }
      ({ given, needs } = await again(true));
    }
  }
  if (needs === undefined) return { given, isLow: false };
  throw new CniError(ErrorCode.tryAgainLater, 'the pools changed again and again while a block was claimed', {
    details: 'Try again.',
  });
};

/** One try with what the node has. `isSynced`: the state was taken from the datastore by this very call. */
const attempt = (
  ipam: IpamNode,
  store: ReservationStore,
  state: NodeState,
  request: AddressRequest,
  isSynced: boolean,
  tried: ReadonlySet<string>,
): Attempt => {
  const { pools, refused } = poolsOf(ipam, state);
  const { owner, netns, requested, sticky } = request;
  const held = store
    .ownedBy(owner)
    .map((reservation) => ({ reservation, ...describeHeld(state, pools, reservation) }));
  if (!isSynced && !isConfirmed(ipam, state)) return { given: [], needs: { kind: 'sync' } };
  const choice = choosePools(pools, request.asker);
  const families = wantedFamilies(
    request,
    choice,
    held.map(({ address }) => address),
  );
  // What this node knows of the pools may be old: before an ADD fails by it, the datastore is asked.
  const mayBeOld = !isSynced && ipam.pools === undefined;
  if (mayBeOld && (families.length === 0 || !requested.every((address) => poolFor(choice, address)))) {
    return { given: [], needs: { kind: 'sync' } };
  }
  if (families.length === 0)
    throw noPool(
      choice,
      refused.map(({ error }) => error.message),
    );
  const given: Given[] = [];
  for (const family of families) {
    const wanted = requested.find((address) => address.family === family);
    const again = held.find(
      ({ address }) => address.family === family && (wanted === undefined || isSameAddress(address, wanted)),
    );
    if (again !== undefined && isSettled(state, again.reservation, sticky?.key)) {
      if (!isSynced && state.fixed[again.reservation.address] !== undefined) {
        return { given, needs: { kind: 'confirm' } };
      }
      given.push(grantAgain(store, state, again, netns));
      continue;
    }
    if (sticky !== undefined && wanted === undefined) return { given, needs: { kind: 'sticky', family } };
    if (wanted !== undefined) {
      const pool = poolOfRequested(choice, pools, wanted);
      const local =
        sticky === undefined ? giveRequested(ipam, store, state, request, pool, wanted) : undefined;
      if (local === undefined) return { given, needs: { kind: 'fixed', address: wanted, pool } };
      given.push(local);
      continue;
    }
    const suitable = choice.pools.filter(({ cidr }) => cidr.family === family);
    const any = giveInOrder(ipam, store, state, request, suitable, tried);
    if (any === undefined) return { given, needs: { kind: 'nothing', family, choice } };
    if ('kind' in any) return { given, needs: any };
    given.push(any);
  }
  return { given, needs: undefined };
};

/**
 * An address of the first pool that has one: each pool's blocks here, then another block of it, before the next pool.
 * Pools of `tried` have no block left. One of which that was so a while ago is passed over as long as another one has an
 * address. Undefined when none has.
 */
const giveInOrder = (
  ipam: IpamNode,
  store: ReservationStore,
  state: NodeState,
  { owner, netns }: AddressRequest,
  pools: readonly Pool[],
  tried: ReadonlySet<string>,
): Given | Extract<Need, { kind: 'block' }> | undefined => {
  let passedOver: Pool | undefined;
  for (const pool of pools) {
    const given = giveAny(store, state, owner, netns, [pool], ipam.ownSubnet);
    if (given !== undefined) return given;
    if (tried.has(pool.name)) continue;
    if ((state.full[pool.name] ?? 0) <= ipam.now()) return { kind: 'block', pool };
    passedOver ??= pool;
  }
  return passedOver && { kind: 'block', pool: passedOver };
};

/**
 * Whether the blocks are certainly this node's still: nobody reclaims them within the grace time after the datastore
 * said so. The tenth less is for clocks that differ.
 */
const isConfirmed = ({ graceMs, now }: IpamNode, { confirmedAt }: NodeState): boolean => {
  const age = now() - confirmedAt;
  return confirmedAt > 0 && age > -graceMs * 0.1 && age < graceMs * 0.9;
};

/** The families asked for; else those of the pools for this pod, of what it requests, and of what it has. */
const wantedFamilies = (
  { families, requested }: AddressRequest,
  { pools }: Choice,
  held: readonly Address[],
): (4 | 6)[] => {
  const present = new Set(
    [...pools.map(({ cidr }) => cidr), ...requested, ...held].map(({ family }) => family),
  );
  if (families === undefined) return ([4, 6] as const).filter((family) => present.has(family));
  const outside = requested.find(({ family }) => !families.includes(family));
  if (outside !== undefined) {
    throw new CniError(
      ErrorCode.addressUnavailable,
      `requested address ${formatAddress(outside)} is of a family that the configuration does not want`,
      { details: 'Add it to "ipam.ipFamilies", or request another address.' },
    );
  }
  return [...families];
};

/** Whether a held address can be given again as it is: for a sticky key, it must be in the datastore for that. */
const isSettled = (
  state: NodeState,
  { address, containerId }: Reservation,
  key: string | undefined,
): boolean => {
  const note = state.fixed[address];
  if (note?.isOurs !== true || note.containerId !== containerId) return key === undefined;
  return note.isPending === undefined && (key === undefined || note.key === key);
};

const grantAgain = (
  store: ReservationStore,
  state: NodeState,
  {
    reservation,
    address,
    pool,
    block,
  }: { reservation: Reservation } & Omit<Given, 'pool'> & { pool: Pool | undefined },
  netns: string,
): Given => {
  if (pool === undefined) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `the container holds ${reservation.address}, but no pool has this address any more`,
      { details: 'Put the pool back, or DEL the container first.' },
    );
  }
  if (!isStillOurs(state, reservation)) {
    throw new CniError(
      ErrorCode.addressUnavailable,
      `the container holds ${reservation.address}, which is another's by now`,
      {
        details:
          'Its block was reclaimed while this node was thought to be gone, or the pod was started elsewhere. DEL the container.',
      },
    );
  }
  store.renew(reservation, netns);
  return { address, pool, block };
};

const poolFor = ({ pools }: Choice, address: Address): Pool | undefined =>
  pools.find(({ cidr }) => spanHolds(spanOf(cidr), address));

/** The pool of a requested address. Throws CniError 102 when there is none, or it is not for this pod. */
const poolOfRequested = (choice: Choice, pools: readonly Pool[], address: Address): Pool => {
  const suitable = poolFor(choice, address);
  if (suitable !== undefined) return suitable;
  const pool = pools.find(({ cidr }) => spanHolds(spanOf(cidr), address));
  const verdict = choice.trail.find((candidate) => candidate.pool === pool?.name);
  throw new CniError(
    ErrorCode.addressUnavailable,
    `requested address ${formatAddress(address)} ${pool === undefined ? 'is in no pool' : `is in pool ${pool.name}, which this pod can't use: ${verdict?.reason}`}`,
    {
      details: `Pools: ${pools.map(({ name, cidr }) => `${name} ${formatCidr(cidr)}`).join(', ') || 'none'}.`,
    },
  );
};

/** Takes a requested address out of one of the node's own blocks; undefined when the datastore has to be asked. */
const giveRequested = (
  ipam: IpamNode,
  store: ReservationStore,
  state: NodeState,
  { owner, netns }: AddressRequest,
  pool: Pool,
  address: Address,
): Given | undefined => {
  const text = formatAddress(address);
  if (!isInOwnBlock(state, text) || state.fixed[text] !== undefined) return undefined;
  if (unusableOf(pool).some((span) => spanHolds(span, address))) return undefined;
  const reservation = store.reserve(owner, netns, text);
  if (reservation === undefined) {
    const leak = store.stale(({ address: stale }) => stale === text, 1)[0];
    if (leak !== undefined) store.release(leak);
    if (leak === undefined || store.reserve(owner, netns, text) === undefined) {
      const holder = store.holderOf(text)?.owner;
      throw new CniError(
        ErrorCode.addressUnavailable,
        `requested address ${text} is taken${holder === undefined ? '' : ` by container ${holder.containerId} ${holder.ifname}`.trimEnd()}`,
        { details: 'Remove the container that holds it, or request another address.' },
      );
    }
  }
  const { block } = describeHeld(state, poolsOf(ipam, state).pools, { address: text });
  return { address, pool, block };
};

/** The address that the key had before, or else any one, which is the key's from now on. */
const settleSticky = async (
  ipam: IpamNode,
  datastore: Datastore,
  view: View,
  family: 4 | 6,
  request: AddressRequest,
  tried: Set<string>,
): Promise<'done' | 'stale'> => {
  const { sticky, owner } = request;
  if (sticky === undefined) return 'done';
  const kept = stickyAddress(view, sticky.key, family);
  const wanted = await withNode(ipam, (store, state) => {
    const { pools } = poolsOf(ipam, state);
    const choice = choosePools(pools, request.asker);
    const held = [
      ...(kept === undefined ? [] : [kept]),
      ...store.ownedBy(owner).filter(({ address }) => address.includes(':') === (family === 6)),
    ];
    for (const each of held) {
      const { address, pool } = describeHeld(state, pools, each);
      if (pool !== undefined) return { address, pool };
    }
    const suitable = choice.pools.filter(({ cidr }) => cidr.family === family);
    const given = giveInOrder(ipam, store, state, request, suitable, tried);
    return given ?? { kind: 'nothing' as const, family, choice };
  });
  if (!('kind' in wanted)) await takeFixed(ipam, datastore, view, wanted.pool, wanted.address, request);
  else if (wanted.kind === 'nothing') throw exhausted(ipam, view, wanted);
  else if ((await claimIn(ipam, datastore, view, wanted.pool, tried)) === 'stale') return 'stale';
  return 'done';
};

/** How long a pool without a free block is taken for full, in ms. */
const fullForMs = 30_000;

const claimIn = async (
  ipam: IpamNode,
  datastore: Datastore,
  view: View,
  pool: Pool,
  tried: Set<string>,
): Promise<'done' | 'stale'> => {
  const outcome = await claimBlock(ipam, datastore, pool, view);
  if (outcome === 'stale') return 'stale';
  if (outcome === 'none') tried.add(pool.name);
  await withNode(ipam, (_, state) => {
    if (outcome === 'none') state.full[pool.name] = ipam.now() + fullForMs;
    else delete state.full[pool.name];
  });
  return 'done';
};

const exhausted = (
  ipam: IpamNode,
  view: View,
  { family, choice }: Extract<Need, { kind: 'nothing' }>,
): CniError => {
  const pools = choice.pools.filter(({ cidr }) => cidr.family === family);
  if (pools.length === 0) return noPool(choice, [], family);
  const used = pools.map(({ name, cidr }) => {
    const blocks = view.blocks.filter(({ value }) => value.pool === name);
    const own = blocks.filter((record) => isOwn(ipam, record));
    return `pool ${name} ${formatCidr(cidr)}: ${blocks.length} blocks, ${own.length} of them this node's, and no address free in these`;
  });
  return new CniError(
    ErrorCode.addressUnavailable,
    `no free IPv${family} address: every block of the pools for this pod is claimed`,
    {
      details: `${used.join('; ')}. Add a pool, enlarge one, or return blocks of nodes that are gone: podwire ipam check says which.`,
    },
  );
};

const noPool = (choice: Choice, refused: readonly string[], family?: 4 | 6): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    `no pool is for this pod${family === undefined ? '' : ` and IPv${family}`}: ${describeTrail(choice.trail)}`,
    {
      details: [
        ...refused.map((message) => `Left out: ${message}.`),
        "Add a pool whose selectors fit, or name one in the pod's annotation.",
      ].join(' '),
    },
  );

/** Frees what a failed call took; what the container had before stays. */
const undo = async (ipam: IpamNode, owner: Owner, before: ReadonlySet<string>): Promise<void> => {
  try {
    await withNode(ipam, (store, state) => {
      for (const reservation of store.ownedBy(owner)) {
        if (before.has(reservation.address)) continue;
        store.release(reservation);
        const note = state.fixed[reservation.address];
        if (note?.isOurs === true) note.releasedAt = timeText(ipam);
      }
    });
  } catch (error) {
    // The error that led here says more; the container's DEL frees what is left.
    toCniError(error);
  }
};
