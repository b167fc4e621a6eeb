import { type Address, parseAddress } from '../../kernel/address-math.ts';
import { isSameOwner, type Owner, type Reservation } from './record.ts';

/** Addresses `first` to `last` of one family, both included. */
export interface Span {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

/** What is reserved in a network: answers without looking through its directory. */
export interface ReservationIndex {
  ownedBy(owner: Owner): Reservation[];
  /** The lowest address in the span that has no file; undefined when all have one. */
  firstFree(span: Span): bigint | undefined;
  /** How many addresses of the span have a file. */
  countUsed(span: Span): number;
  /** How many addresses of the span have none; no more than `limit` are counted. */
  countFree(span: Span, limit: number): number;
  all(): Reservation[];
  add(reservation: Reservation): void;
  remove(reservation: Reservation): void;
}

/** A directory's content: reservations, and all addresses that have a file, understood or not. */
export interface Snapshot {
  reservations: Map<string, Reservation>;
  used: Address[];
}

/** The index for one call, straight from a scan: for when none can be kept on disk. */
export class MemoryIndex implements ReservationIndex {
  readonly #reservations: Map<string, Reservation>;
  readonly #used = { 4: new Set<bigint>(), 6: new Set<bigint>() };

  constructor({ reservations, used }: Snapshot) {
    this.#reservations = reservations;
    for (const { family, value } of used) this.#used[family].add(value);
  }

  ownedBy(owner: Owner): Reservation[] {
    return this.all().filter((reservation) => isSameOwner(reservation, owner));
  }

  firstFree({ family, first, last }: Span): bigint | undefined {
    for (let value = first; value <= last; value++) if (!this.#used[family].has(value)) return value;
    return undefined;
  }

  countUsed({ family, first, last }: Span): number {
    let count = 0;
    for (const value of this.#used[family]) if (first <= value && value <= last) count++;
    return count;
  }

  countFree({ family, first, last }: Span, limit: number): number {
    let count = 0;
    for (let value = first; value <= last && count < limit; value++)
      if (!this.#used[family].has(value)) count++;
    return count;
  }

  all(): Reservation[] {
    return [...this.#reservations.values()];
  }

  add(reservation: Reservation): void {
    this.#reservations.set(reservation.address, reservation);
    const address = parseAddress(reservation.address);
    if (address !== undefined) this.#used[address.family].add(address.value);
  }

  remove(reservation: Reservation): void {
    this.#reservations.delete(reservation.address);
    const address = parseAddress(reservation.address);
    if (address !== undefined) this.#used[address.family].delete(address.value);
  }
}
