import { DiskIndex } from './disk-index.ts';
import type { Place } from './files.ts';
import { MemoryIndex, type ReservationIndex, type Snapshot } from './memory-index.ts';
import type { Reservation } from './record.ts';
import { scanDirectory } from './scan.ts';
import { breakSeal, readSeal, writeSeal } from './seal.ts';

/**
 * The index of a network's directory, kept true: the one on disk while its seal fits the directory,
 * else rebuilt by one scan; one in memory for this call when that on disk can't be used. It lives as
 * long as the lock is held; `close` seals what was changed.
 */
export class SyncedIndex {
  readonly #place: Place;
  readonly #bootId: string;
  #index: ReservationIndex;
  #mayHoldStale = true;
  /** The index on disk is true but for its seal. */
  #unsealed = false;

  /** Throws CniError 5 when the directory has to be scanned and can't be. */
  constructor(place: Place, bootId: string) {
    this.#place = place;
    this.#bootId = bootId;
    const seal = readSeal(place, bootId);
    this.#index = seal === undefined ? this.#rebuild() : new DiskIndex(place.indexDirectory);
    if (seal !== undefined) this.#mayHoldStale = seal.mayHoldStale;
  }

  /** False when no record is older than the current boot. */
  get mayHoldStale(): boolean {
    return this.#mayHoldStale;
  }

  /** Notes that all records are of the current boot. */
  noteNoneStale(): void {
    this.#mayHoldStale = false;
    this.#unsealed = true;
  }

  /** Asks the index; one that can't be read is replaced by a scan. */
  read<T>(ask: (index: ReservationIndex) => T): T {
    try {
      return ask(this.#index);
    } catch {
      this.#index = this.#scan();
      return ask(this.#index);
    }
  }

  /**
   * Tells the index of a change that the directory shows already, or that the seal was broken for; one
   * that can't be written is replaced by a scan.
   */
  change(tell: (index: ReservationIndex) => void): void {
    try {
      tell(this.#index);
      this.#unsealed = true;
    } catch {
      this.#index = this.#scan();
    }
  }

  /** Notes a change of the directory that is none of its reservations. */
  touch(): void {
    this.#unsealed = true;
  }

  /** Reads the directory anew. Throws CniError 5 when it can't be read. */
  rescan(): void {
    this.#index = this.#rebuild();
  }

  /** Seals what was changed; an index that can't be written is left unsealed, to be rebuilt next time. */
  close(): void {
    if (!this.#unsealed || !(this.#index instanceof DiskIndex)) return;
    try {
      writeSeal(this.#place, this.#bootId, { mayHoldStale: this.#mayHoldStale });
    } catch {
      // The old seal no longer fits the directory.
    }
  }

  #rebuild(): ReservationIndex {
    const index = new DiskIndex(this.#place.indexDirectory);
    const snapshot = this.#snapshot();
    this.#mayHoldStale = [...snapshot.reservations.values()].some(({ bootId }) => bootId !== this.#bootId);
    try {
      breakSeal(this.#place);
      index.replace(snapshot);
      this.#unsealed = true;
      return index;
    } catch {
      return new MemoryIndex(snapshot);
    }
  }

  #scan(): MemoryIndex {
    return new MemoryIndex(this.#snapshot());
  }

  /** The directory, with what earlier records know of its files. */
  #snapshot(): Snapshot {
    return scanDirectory(this.#place, recordsIn(this.#place), this.#bootId);
  }
}

const recordsIn = (place: Place): Map<string, Reservation> => {
  try {
    return new Map(new DiskIndex(place.indexDirectory).all().map((record) => [record.address, record]));
  } catch {
    return new Map();
  }
};
