import { CniError, ErrorCode } from '../cni/errors.ts';
import { type Address, formatAddress, formatCidr } from '../kernel/address-math.ts';
import { type Datastore, hasProblem, type StoredRecord } from '../store/datastore/datastore.ts';
import { isSameOwner } from '../store/reservations/record.ts';
import { spanHolds } from '../store/reservations/spans.ts';
import { type IpamNode, withNode } from './node.ts';
import { type Pool, unusableOf } from './pool.ts';
import { spanOf } from './ranges.ts';
import { addressPath } from './record-names.ts';
import type { AddressValue } from './records.ts';
import type { AddressRequest } from './request.ts';
import { addressValue, blockCidr, isInOwnBlock, isOwn, remoteCall, timeText, type View } from './sync.ts';

/**
 * Makes an address this container's by a record of its own in the datastore, and reserves it here. Under the remote
 * lock, after a sync that gave `view`. An address that nobody's block contains is had by its record alone: its maker
 * looks for a block afterwards, and who claims a block looks for addresses afterwards, so that one of the two sees the
 * other. Throws CniError 102 when it is not to be had, 11 when it is still in use here, DatastoreError.
 */
export const takeFixed = async (
  ipam: IpamNode,
  datastore: Datastore,
  view: View,
  pool: Pool,
  address: Address,
  request: AddressRequest,
): Promise<void> => {
  const text = formatAddress(address);
  if (unusableOf(pool).some((span) => spanHolds(span, address))) {
    throw unavailable(
      `requested address ${text} is excluded from pool ${pool.name}, or its gateway`,
      `Request another address of ${formatCidr(pool.cidr)}.`,
    );
  }
  const existing = view.addresses.find((record) => addressValue(record).address === text);
  if (existing !== undefined) checkFree(ipam, existing, request);
  const isSafe = await reserveHere(ipam, text, pool, request, existing);
  let record = existing;
  try {
    if (!isSafe) {
      record = await write(datastore, address, existing, pendingValue(ipam, pool, text, request));
      const block = await foreignBlock(ipam, datastore, address);
      if (block !== undefined) throw inForeignBlock(text, block);
    }
    record = await write(datastore, address, record, newValue(ipam, pool, text, request));
    await settle(ipam, text);
  } catch (error) {
    if (hasProblem(error, 'unavailable')) await leavePending(ipam, text, request);
    else await undo(ipam, datastore, text, request, record, existing);
    throw hasProblem(error, 'exists', 'conflict', 'not-found')
      ? new CniError(ErrorCode.tryAgainLater, `address ${text} is being taken by another container`, {
          details: 'Try again.',
          cause: error,
        })
      : error;
  }
};

const write = (
  datastore: Datastore,
  address: Address,
  existing: StoredRecord | undefined,
  value: AddressValue,
): Promise<StoredRecord> =>
  existing === undefined
    ? datastore.create(addressPath(address), value, remoteCall)
    : datastore.replace(existing, value, remoteCall);

/** The record that a sticky key has for a family, if any. */
export const stickyAddress = (view: View, key: string, family: 4 | 6): AddressValue | undefined =>
  view.addresses
    .map(addressValue)
    .find((value) => value.key === key && value.address.includes(':') === (family === 6));

/** What is not settled has no key and is not kept: whoever finds it without a container removes it. */
const pendingValue = (
  ipam: IpamNode,
  pool: Pool,
  address: string,
  request: AddressRequest,
): AddressValue => ({ ...newValue(ipam, pool, address, { ...request, sticky: undefined }), isPending: true });

const newValue = (
  { node, network }: IpamNode,
  pool: Pool,
  address: string,
  { owner, pod, sticky }: AddressRequest,
): AddressValue => ({
  address,
  pool: pool.name,
  node,
  network,
  containerId: owner.containerId,
  ifname: owner.ifname,
  ...(pod === '' ? {} : { pod }),
  ...(sticky === undefined ? {} : { key: sticky.key, holdSeconds: sticky.holdSeconds }),
});

/**
 * Whether an address with a record can become this container's: it is kept for the same key, or for nobody any longer.
 * A key names a pod, which exists once: one that comes back elsewhere has left where it was, even if that node could
 * not tell.
 */
const checkFree = (ipam: IpamNode, record: StoredRecord, { owner, sticky }: AddressRequest): void => {
  const value = addressValue(record);
  const { containerId, ifname = '', key, node, address, isPending } = value;
  if (containerId !== undefined && isOwn(ipam, record) && isSameOwner({ containerId, ifname }, owner)) return;
  if (key !== undefined && key === sticky?.key) return;
  if (isPending === true && containerId !== undefined) {
    throw new CniError(ErrorCode.tryAgainLater, `address ${address} is being taken by another container`, {
      details: 'Try again.',
    });
  }
  if (containerId === undefined && heldUntil(value) <= ipam.now()) return;
  throw unavailable(
    containerId === undefined
      ? `address ${address} is kept for ${key} until ${new Date(heldUntil(value)).toISOString()}`
      : `address ${address} is in use by container ${containerId} ${ifname} on node ${node}`,
    'Request another address, or release that one.',
  );
};

/** Until when an address without container is kept; ms since 1970. */
export const heldUntil = ({ releasedAt, holdSeconds = 0 }: AddressValue): number =>
  (releasedAt === undefined ? 0 : Date.parse(releasedAt)) + holdSeconds * 1000;

/**
 * Reserves it on this node. True when nobody else can have it: it lies in a block of this node, or its record is one
 * that was settled before.
 */
const reserveHere = (
  ipam: IpamNode,
  text: string,
  pool: Pool,
  request: AddressRequest,
  existing: StoredRecord | undefined,
): Promise<boolean> =>
  withNode(ipam, (store, state) => {
    const isSettled = existing !== undefined && addressValue(existing).isPending === undefined;
    const isSafe = isSettled || isInOwnBlock(state, text);
    const { owner, netns, sticky } = request;
    const [mine] = store.ownedBy(owner).filter(({ address }) => address === text);
    if (mine !== undefined) store.renew(mine, netns);
    else if (store.reserve(owner, netns, text) === undefined) {
      const leak = store.stale(({ address }) => address === text, 1)[0];
      if (leak !== undefined) store.release(leak);
      if (leak === undefined || store.reserve(owner, netns, text) === undefined) {
        throw inUse(text, store.holderOf(text)?.owner, sticky !== undefined);
      }
    }
    state.fixed[text] = {
      pool: pool.name,
      isOurs: true,
      isPending: true,
      containerId: owner.containerId,
      ifname: owner.ifname,
      ...(sticky === undefined ? {} : { key: sticky.key, holdSeconds: sticky.holdSeconds }),
    };
    return isSafe;
  });

const settle = (ipam: IpamNode, text: string): Promise<void> =>
  withNode(ipam, (_, state) => {
    delete state.fixed[text]?.isPending;
  });

/** A sticky pod's old container goes soon; one that just has the address does not. */
const inUse = (
  text: string,
  holder: { containerId: string; ifname: string } | undefined,
  isSticky: boolean,
): CniError =>
  new CniError(
    isSticky ? ErrorCode.tryAgainLater : ErrorCode.addressUnavailable,
    `address ${text} is in use here${holder === undefined ? '' : ` by container ${holder.containerId} ${holder.ifname}`}`,
    { details: 'Remove that container first.' },
  );

const inForeignBlock = (text: string, { value }: StoredRecord): CniError =>
  unavailable(
    `requested address ${text} belongs to a block of node ${value.node}, ${value.cidr}`,
    'Request an address that no other node has, or reserve whole blocks in the pool for requests.',
  );

const foreignBlock = async (
  ipam: IpamNode,
  datastore: Datastore,
  address: Address,
): Promise<StoredRecord | undefined> =>
  (await datastore.list('blocks/', remoteCall)).find((record) => {
    const block = blockCidr(record);
    return block !== undefined && !isOwn(ipam, record) && spanHolds(spanOf(block), address);
  });

/**
 * Whether the record was written is not known. The address is free again, but noted: nobody gets it until the datastore
 * has told, and was told.
 */
const leavePending = (ipam: IpamNode, text: string, { owner }: AddressRequest): Promise<void> =>
  withNode(ipam, (store, state) => {
    for (const reservation of store.ownedBy(owner)) {
      if (reservation.address === text) store.release(reservation);
    }
    const note = state.fixed[text];
    if (note !== undefined) note.releasedAt = timeText(ipam);
  });

/** What cannot be undone in the datastore now is noted, and told later. */
const undo = async (
  ipam: IpamNode,
  datastore: Datastore,
  text: string,
  { owner }: AddressRequest,
  record: StoredRecord | undefined,
  existing: StoredRecord | undefined,
): Promise<void> => {
  let isUndone = true;
  try {
    if (record !== undefined && record !== existing) {
      if (existing === undefined) await datastore.remove(record, remoteCall);
      else await datastore.replace(record, existing.value, remoteCall);
    }
  } catch {
    // The error that led here says more.
    isUndone = false;
  }
  await withNode(ipam, (store, state) => {
    for (const reservation of store.ownedBy(owner)) {
      if (reservation.address === text) store.release(reservation);
    }
    const note = state.fixed[text];
    if (note === undefined) return;
    if (!isUndone) note.releasedAt = timeText(ipam);
    else if (existing !== undefined && isInOwnBlock(state, text))
      state.fixed[text] = { ...note, isOurs: false };
    else delete state.fixed[text];
  });
};

const unavailable = (message: string, details: string): CniError =>
  new CniError(ErrorCode.addressUnavailable, message, { details });
