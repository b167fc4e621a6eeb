import { type CniError, toCniError } from '../../cni/errors.ts';
import { parseAddress } from '../../kernel/address-math.ts';
import { statSync, utimesSync } from '../../kernel/files.ts';
import { bootId as currentBootId } from '../boot.ts';
import { ioFailure } from '../io-failure.ts';
import { type LockOptions, withLock } from '../lock.ts';
import {
  identityOf,
  makeReservationFile,
  type Place,
  readPointer,
  readReservationFile,
  removeReservationFile,
  removeTemplate,
  writePointer,
} from './files.ts';
import type { Span } from './memory-index.ts';
import { isSameOwner, type Owner, type Reservation } from './record.ts';
import { breakSeal } from './seal.ts';
import { isLocalFileSystem, isStale } from './stale.ts';
import { SyncedIndex } from './synced-index.ts';

export interface StoreOptions extends LockOptions {
  /** The boot to live in; default the kernel's. For tests that play a reboot. */
  bootId?: string;
}

/**
 * Runs `body` with a network's reservations under its lock, which is the reference's too. What `body`
 * changed is on disk when this returns. Throws what `body` throws, CniError 11 when the lock stays
 * taken, 5 when the directory can't be read or written.
 */
export const withReservations = <T>(
  place: Place,
  body: (store: ReservationStore) => T,
  options: StoreOptions = {},
): Promise<T> =>
  withLock(
    `${place.directory}/lock`,
    () => {
      const store = new ReservationStore(place, options.bootId ?? currentBootId());
      try {
        return body(store);
      } finally {
        store.close();
      }
    },
    options,
  );

/**
 * The addresses in use in one network. The directory is the truth: an address is taken by creating its
 * file exclusively. The index beside it only saves looking through the directory; where the two
 * disagree, or the index can't be used, the directory is scanned instead.
 */
export class ReservationStore {
  readonly place: Place;
  readonly bootId: string;
  readonly #index: SyncedIndex;

  constructor(place: Place, bootId: string) {
    this.place = place;
    this.bootId = bootId;
    this.#index = new SyncedIndex(place, bootId);
  }

  /** All addresses of this very owner. */
  ownedBy(owner: Owner): Reservation[] {
    const owned = this.#index.read((index) => index.ownedBy(owner));
    if (owned.length === 0 || owned.every((reservation) => this.isIntact(reservation))) return owned;
    this.rescan();
    return this.#index.read((index) => index.ownedBy(owner));
  }

  /** The lowest address in the span without a file; undefined when there is none. */
  firstFree(span: Span): bigint | undefined {
    return this.#index.read((index) => index.firstFree(span));
  }

  /** How many addresses of the span have a file. */
  countUsed(span: Span): number {
    return this.#index.read((index) => index.countUsed(span));
  }

  /** How many addresses of the span have no file; no more than `limit` are counted. */
  countFree(span: Span, limit: number): number {
    return this.#index.read((index) => index.countFree(span, limit));
  }

  all(): Reservation[] {
    return this.#index.read((index) => index.all());
  }

  /** Who an address's file names; undefined without file, and an owner of `undefined` when it names nobody. */
  holderOf(address: string): { owner: Owner | undefined } | undefined {
    return this.#readFile(address);
  }

  /** Takes an address for an owner; undefined when it is taken already. Throws CniError 5. */
  reserve(owner: Owner, netns: string, address: string): Reservation | undefined {
    const identity = makeReservationFile(this.place, owner, address);
    if (identity === undefined) {
      if (this.#thinksFree(address)) this.rescan();
      return undefined;
    }
    const reservation = { ...owner, address, identity, bootId: this.bootId, netns };
    this.#index.change((index) => index.add(reservation));
    return reservation;
  }

  /** Frees an address. Throws CniError 5. */
  release(reservation: Reservation): void {
    removeReservationFile(this.place, reservation.address);
    this.#index.change((index) => index.remove(reservation));
  }

  /**
   * Makes a reservation of an earlier boot, whose container came back under the same id, one of this
   * boot. Its file gets a new time first: from then on the old record describes another file, so that
   * the address can't be taken for a leak whatever happens next. Throws CniError 5.
   */
  renew(reservation: Reservation, netns: string): void {
    if (reservation.bootId === this.bootId) return;
    const file = `${this.place.directory}/${reservation.address}`;
    try {
      breakSeal(this.place);
      const now = BigInt(Date.now()) * 1_000_000n;
      utimesSync(file, now, now);
      const renewed = { ...reservation, identity: identityOf(statSync(file)), bootId: this.bootId, netns };
      this.#index.change((index) => {
        index.remove(reservation);
        index.add(renewed);
      });
    } catch (error) {
      throw ioFailure(`renew the reservation ${file}`, error);
    }
  }

  /** The leaks of earlier boots among the reservations that `wanted` picks. Ends after `limit` of them. */
  stale(wanted: (reservation: Reservation) => boolean, limit = Number.POSITIVE_INFINITY): Reservation[] {
    if (!this.#index.mayHoldStale || !isLocalFileSystem(this.place.directory)) return [];
    const found: Reservation[] = [];
    let old = 0;
    for (const reservation of this.all()) {
      if (reservation.bootId === this.bootId) continue;
      old++;
      if (!wanted(reservation) || !isStale(reservation, this.bootId) || !this.isIntact(reservation)) continue;
      found.push(reservation);
      if (found.length >= limit) return found;
    }
    if (old === 0) this.#index.noteNoneStale();
    return found;
  }

  /** Whether the address's file is still the very one the record describes. */
  isIntact(reservation: Reservation): boolean {
    const file = this.#readFile(reservation.address);
    return (
      file?.owner !== undefined &&
      file.identity === reservation.identity &&
      isSameOwner(file.owner, reservation)
    );
  }

  /** Removes what an ADD left that was killed while it reserved. */
  tidy(): void {
    removeTemplate(this.place);
  }

  /** Frees all that `isWanted` does not want, going on after errors; returns these. */
  sweep(isWanted: (reservation: Reservation) => boolean): CniError[] {
    this.rescan();
    const errors: CniError[] = [];
    const unwanted = this.all().filter((reservation) => !isWanted(reservation));
    for (const { address } of unwanted) {
      try {
        removeReservationFile(this.place, address);
      } catch (error) {
        errors.push(toCniError(error));
      }
    }
    if (unwanted.length > 0) this.rescan();
    return errors;
  }

  /** The address last given out for a range set. */
  pointer(set: number): string | undefined {
    return readPointer(this.place, set);
  }

  setPointer(set: number, address: string): void {
    writePointer(this.place, set, address);
    this.#index.touch();
  }

  /** Reads the directory anew. Throws CniError 5 when it can't be read. */
  rescan(): void {
    this.#index.rescan();
  }

  /** Seals the index. */
  close(): void {
    this.#index.close();
  }

  #thinksFree(text: string): boolean {
    const address = parseAddress(text);
    if (address === undefined) return false;
    const { family, value } = address;
    return this.firstFree({ family, first: value, last: value }) !== undefined;
  }

  #readFile(address: string) {
    try {
      return readReservationFile(this.place, address);
    } catch (error) {
      throw ioFailure(`read the reservation ${`${this.place.directory}/${address}`}`, error);
    }
  }
}
