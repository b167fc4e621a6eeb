import { CniError, ErrorCode } from '../../cni/errors.ts';
import { parseAddress } from '../../kernel/address-math.ts';
import type { Reservation } from './record.ts';
import { type AddressSet, formatSpans, setHolds, sizeOf } from './spans.ts';
import type { ReservationStore } from './store.ts';

/** Whether an address, as text, belongs to the set. */
export const isIn = (set: AddressSet, text: string): boolean => {
  const address = parseAddress(text);
  return address !== undefined && setHolds(set, address);
};

/** `no free address in range 10.1.0.1-10.1.0.254: 253 of 253 in use`: in a word, without looking at each. */
export const exhaustionSummary = (set: AddressSet): string => {
  const size = sizeOf(set);
  return `no free address in range ${formatSpans(set.spans)}: ${size} of ${size} in use`;
};

export const exhaustionAdvice =
  'Remove containers that are no longer needed, let the runtime call GC, or configure a larger range.';

/**
 * CniError 102 for a set without a free address, after what could be reclaimed was: its size, how many
 * are used, what may be leaks, who holds addresses longest, and what to do.
 */
export const exhausted = (store: ReservationStore, set: AddressSet): CniError => {
  const held = store.all().filter(({ address }) => isIn(set, address));
  const old = held.filter(({ bootId }) => bootId !== store.bootId).length;
  const nameless = sizeOf(set) - BigInt(held.length);
  const sentences = [
    held.length > 0 && `Oldest holders: ${oldest(held).map(describe).join('; ')}.`,
    old > 0 &&
      `${old} date from before the last reboot, but it is not certain that they are leaks: their netns path exists, or the directory may be shared with other machines.`,
    nameless > 0n &&
      `${nameless} files name no container (empty or damaged): remove those in ${store.place.directory} that nobody needs.`,
    exhaustionAdvice,
  ];
  return new CniError(
    ErrorCode.addressUnavailable,
    `${exhaustionSummary(set)}, ${old} of them possibly stale`,
    { details: sentences.filter((sentence) => sentence !== false).join(' ') },
  );
};

const HOLDERS = 5;

/** The five oldest, in one pass: sorting all of a large range would take seconds. */
const oldest = (reservations: Reservation[]): Reservation[] => {
  const found: { reservation: Reservation; time: number }[] = [];
  for (const reservation of reservations) {
    const time = madeAt(reservation);
    if (found.length === HOLDERS && time >= (found.at(-1)?.time ?? 0)) continue;
    found.push({ reservation, time });
    found.sort((a, b) => a.time - b.time);
    found.length = Math.min(found.length, HOLDERS);
  }
  return found.map(({ reservation }) => reservation);
};

/** When the file was made, in ms since 1970, from the ns in its identity. */
const madeAt = ({ identity }: Reservation): number => Number(identity.slice(identity.indexOf(':') + 1)) / 1e6;

const describe = (reservation: Reservation): string => {
  const { address, containerId, ifname } = reservation;
  const since = new Date(madeAt(reservation)).toISOString();
  return `${address} by ${containerId}${ifname === '' ? '' : ` ${ifname}`} since ${since}`;
};
