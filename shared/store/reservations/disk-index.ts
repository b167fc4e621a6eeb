import { type Address, parseAddress } from '../../kernel/address-math.ts';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readAtSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeAtSync,
} from '../../kernel/files.ts';
import { failedWith } from '../io-failure.ts';
import { overwrite, writeWhole } from './files.ts';
import type { ReservationIndex, Snapshot, Span } from './memory-index.ts';
import { formatRecord, type Owner, parseRecords, type Reservation, recordsOf } from './record.ts';

/**
 * The index on disk. `owners/<hash>` holds the records of the containers with one hash, 0 to 1ff, one
 * per line: an ADD appends one. `used/<family>-<upper bits>` holds one byte for each of 65536
 * neighbouring addresses, 1 for those that have a file; what is beyond its end is 0. So a lookup reads
 * one small file, and a search for a free address runs through bytes, however many are in use.
 * Methods throw the system's error when the index can't be read or written.
 */
export class DiskIndex implements ReservationIndex {
  readonly #directory: string;
  /** The shards read or written by this call: nobody else changes them under the lock. */
  readonly #shards = new Map<string, string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  ownedBy(owner: Owner): Reservation[] {
    return recordsOf(this.#readShard(shardOf(owner)), owner);
  }

  firstFree({ family, first, last }: Span): bigint | undefined {
    for (let from = first; from <= last; ) {
      const offset = Number(from & OFFSET_BITS);
      const length = Math.min(READ_LENGTH - (offset % READ_LENGTH), Number(last - from) + 1);
      const bytes = this.#readUsed({ family, value: from }, length);
      const free = bytes.indexOf(0);
      if (free >= 0) return from + BigInt(free);
      if (bytes.length < length) return from + BigInt(bytes.length);
      from += BigInt(length);
    }
    return undefined;
  }

  countUsed({ family, first, last }: Span): number {
    let count = 0;
    for (let from = first; from <= last; ) {
      const length = Math.min(
        READ_LENGTH - (Number(from & OFFSET_BITS) % READ_LENGTH),
        Number(last - from) + 1,
      );
      for (const byte of this.#readUsed({ family, value: from }, length)) count += byte;
      from += BigInt(length);
    }
    return count;
  }

  countFree({ family, first, last }: Span, limit: number): number {
    let count = 0;
    for (let from = first; from <= last && count < limit; ) {
      const length = Math.min(
        READ_LENGTH - (Number(from & OFFSET_BITS) % READ_LENGTH),
        Number(last - from) + 1,
      );
      const bytes = this.#readUsed({ family, value: from }, length);
      for (let at = bytes.indexOf(0); at >= 0 && count < limit; at = bytes.indexOf(0, at + 1)) count++;
      count += length - bytes.length;
      from += BigInt(length);
    }
    return Math.min(count, limit);
  }

  all(): Reservation[] {
    return listIfThere(`${this.#directory}/owners`).flatMap((shard) => parseRecords(this.#readShard(shard)));
  }

  /** Adds a reservation of an address that has none. */
  add(reservation: Reservation): void {
    this.#setUsed(reservation.address, 1);
    const shard = shardOf(reservation);
    const line = formatRecord(reservation);
    this.#shards.set(shard, this.#readShard(shard) + line);
    append(this.#shardFile(shard), line);
  }

  remove(reservation: Reservation): void {
    this.#setUsed(reservation.address, 0);
    const shard = shardOf(reservation);
    this.#writeShard(shard, this.#readShard(shard).replace(formatRecord(reservation), ''));
  }

  /** Writes the whole index anew from what a scan found. */
  replace({ reservations, used }: Snapshot): void {
    for (const part of ['owners', 'used'])
      mkdirSync(`${this.#directory}/${part}`, { recursive: true, mode: 0o700 });
    const shards = Map.groupBy(reservations.values(), shardOf);
    for (const name of this.#names('owners')) if (!shards.has(name)) unlinkSync(this.#shardFile(name));
    for (const [name, records] of shards) this.#writeShard(name, records.map(formatRecord).join(''));
    for (const name of this.#names('used')) unlinkSync(`${this.#directory}/used/${name}`);
    for (const [name, addresses] of Map.groupBy(used, blockOf)) this.#writeBlock(name, addresses);
  }

  #names(part: string): string[] {
    return listIfThere(`${this.#directory}/${part}`);
  }

  #shardFile(name: string): string {
    return `${this.#directory}/owners/${name}`;
  }

  #readShard(name: string): string {
    const text = this.#shards.get(name) ?? readIfThere(this.#shardFile(name));
    if (!isWhole(text)) throw new Error(`${this.#shardFile(name)} is damaged`);
    this.#shards.set(name, text);
    return text;
  }

  #writeShard(name: string, text: string): void {
    this.#shards.set(name, text);
    overwrite(this.#shardFile(name), text, 0o600);
  }

  #readUsed(address: Address, length: number): Uint8Array {
    let fd: number;
    try {
      fd = openSync(`${this.#directory}/used/${blockOf(address)}`, constants.O_RDONLY);
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return new Uint8Array(0);
      throw error;
    }
    try {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readAtSync(fd, bytes, Number(address.value & OFFSET_BITS)));
    } finally {
      closeSync(fd);
    }
  }

  #setUsed(text: string, used: 0 | 1): void {
    const address = parseAddress(text);
    if (address === undefined) return;
    const file = `${this.#directory}/used/${blockOf(address)}`;
    const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      writeAtSync(fd, new Uint8Array([used]), Number(address.value & OFFSET_BITS));
    } finally {
      closeSync(fd);
    }
  }

  #writeBlock(name: string, addresses: Address[]): void {
    const offsets = addresses.map(({ value }) => Number(value & OFFSET_BITS));
    const first = offsets.reduce((a, b) => Math.min(a, b));
    const bytes = new Uint8Array(offsets.reduce((a, b) => Math.max(a, b)) - first + 1);
    for (const offset of offsets) bytes[offset - first] = 1;
    const fd = openSync(
      `${this.#directory}/used/${name}`,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
      0o600,
    );
    try {
      // Sparse in front of the first one: a block with one address costs one page.
      writeAtSync(fd, bytes, first);
    } finally {
      closeSync(fd);
    }
  }
}

const OFFSET_BITS = 0xffffn;

/** One read on the ordinary path is small; a long run of used addresses takes four per block. */
const READ_LENGTH = 16_384;

const blockOf = ({ family, value }: Address): string => `${family}-${(value >> 16n).toString(16)}`;

/** By the containerID alone, so that a container's records without ifname are in the same file. */
const shardOf = ({ containerId }: Owner): string => {
  let hash = 0;
  for (let index = 0; index < containerId.length; index++) {
    hash = (hash * 31 + containerId.charCodeAt(index)) & 0xffff;
  }
  return (hash & 0x1ff).toString(16);
};

/** What is cut off, or was never written by us, is not searched: a record it lacks would be an address lost. */
const isWhole = (text: string): boolean =>
  text === '' || (text.startsWith('{"containerId":') && text.endsWith('}\n') && !text.includes('\0'));

const append = (file: string, line: string): void => {
  const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600);
  try {
    writeWhole(fd, line);
  } finally {
    closeSync(fd);
  }
};

const readIfThere = (file: string): string => {
  try {
    return readFileSync(file);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return '';
    throw error;
  }
};

const listIfThere = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return [];
    throw error;
  }
};
