import { CniError, ErrorCode } from '../../cni/errors.ts';
import { type Address, formatAddress, parseAddress } from '../../kernel/address-math.ts';
import { exhausted, isIn } from './exhaustion.ts';
import type { Owner, Reservation } from './record.ts';
import { type AddressSet, formatSpans, isSameAddress, searchOrder } from './spans.ts';
import type { ReservationStore } from './store.ts';

/**
 * Gives an owner one address out of each set, in the sets' order. What it holds already is given
 * again: a runtime repeats an ADD whose answer it lost. When a set has none, the leaks of earlier
 * boots in it are reclaimed. On failure everything taken by this call is free again.
 * Throws CniError 102 (none free, or the requested one is taken) or 5.
 */
export const allocate = (
  store: ReservationStore,
  owner: Owner,
  netns: string,
  sets: AddressSet[],
): Address[] => {
  const held = store.ownedBy(owner);
  const taken: Reservation[] = [];
  try {
    return sets.map((set) => {
      const again = held.find(({ address }) => isWanted(set, address));
      if (again !== undefined) {
        store.renew(again, netns);
        return addressOf(again);
      }
      const reservation =
        set.requested === undefined
          ? takeAny(store, owner, netns, set)
          : takeRequested(store, owner, netns, set, set.requested);
      taken.push(reservation);
      store.setPointer(set.id, reservation.address);
      return addressOf(reservation);
    });
  } catch (error) {
    for (const reservation of taken) releaseQuietly(store, reservation);
    throw error;
  }
};

/** Whether an ADD for this set could get an address, if need be a reclaimed one. */
export const canAllocate = (store: ReservationStore, set: AddressSet): boolean =>
  firstOfFree(store, set, () => true) !== undefined ||
  store.stale(({ address }) => isIn(set, address), 1).length > 0;

const isWanted = (set: AddressSet, text: string): boolean =>
  set.requested === undefined ? isIn(set, text) : text === formatAddress(set.requested);

const addressOf = ({ address }: Reservation): Address => {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw new Error(`a reservation for "${address}", which is no address`);
  return parsed;
};

const takeAny = (store: ReservationStore, owner: Owner, netns: string, set: AddressSet): Reservation => {
  const reservation = takeFree(store, owner, netns, set);
  if (reservation !== undefined) return reservation;
  throw exhausted(store, set);
};

/** Takes the next free address of a set, if need be a leak of an earlier boot; undefined when there is none. */
export const takeFree = (
  store: ReservationStore,
  owner: Owner,
  netns: string,
  set: AddressSet,
): Reservation | undefined => {
  const reservation = tryToTake(store, owner, netns, set);
  if (reservation !== undefined) return reservation;
  const leaks = store.stale(({ address }) => isIn(set, address));
  for (const leak of leaks) store.release(leak);
  return leaks.length > 0 ? tryToTake(store, owner, netns, set) : undefined;
};

const tryToTake = (
  store: ReservationStore,
  owner: Owner,
  netns: string,
  set: AddressSet,
): Reservation | undefined =>
  firstOfFree(store, set, (address) => store.reserve(owner, netns, formatAddress(address)));

/**
 * Offers the free addresses of a set, in round robin from the one given last, until `accept` returns
 * something; that is the answer. Undefined when all were refused. (A generator would read better, but
 * the first one of a process costs 0.1 ms.)
 */
const firstOfFree = <T>(
  store: ReservationStore,
  set: AddressSet,
  accept: (address: Address) => T | undefined,
): T | undefined => {
  const pointer = parseAddress(store.pointer(set.id) ?? '');
  for (const { family, first, last } of searchOrder(set.spans, pointer)) {
    for (let from = first; from <= last; ) {
      const value = store.firstFree({ family, first: from, last });
      if (value === undefined) break;
      const address = { family, value };
      const accepted = isExcluded(set, address) ? undefined : accept(address);
      if (accepted !== undefined) return accepted;
      from = value + 1n;
    }
  }
  return undefined;
};

const isExcluded = ({ excluded }: AddressSet, address: Address): boolean =>
  excluded.some((gateway) => isSameAddress(gateway, address));

const takeRequested = (
  store: ReservationStore,
  owner: Owner,
  netns: string,
  set: AddressSet,
  requested: Address,
): Reservation => {
  const text = formatAddress(requested);
  const reservation = store.reserve(owner, netns, text) ?? afterReclaiming(store, owner, netns, text);
  if (reservation !== undefined) return reservation;
  const holder = store.holderOf(text)?.owner;
  throw new CniError(
    ErrorCode.addressUnavailable,
    `requested address ${text} is taken${holder === undefined ? '' : ` by container ${holder.containerId} ${holder.ifname}`.trimEnd()}`,
    {
      details: `It is in range ${formatSpans(set.spans)}. Remove the container that holds it, or request another address.`,
    },
  );
};

const afterReclaiming = (store: ReservationStore, owner: Owner, netns: string, text: string) => {
  const [leak] = store.stale(({ address }) => address === text, 1);
  if (leak === undefined) return undefined;
  store.release(leak);
  return store.reserve(owner, netns, text);
};

const releaseQuietly = (store: ReservationStore, reservation: Reservation): void => {
  try {
    store.release(reservation);
  } catch {
    // The error that led here says more; the owner's DEL frees it.
  }
};
