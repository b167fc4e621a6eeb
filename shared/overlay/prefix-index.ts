import { type Cidr, contains } from '../kernel/address-math.ts';

/**
 * Finds overlaps among many prefixes. Two prefixes overlap when one contains the other: so one look-up for
 * each length that occurs is enough, of which a cluster has two or three.
 */
export class PrefixIndex<T> {
  readonly #families = { 4: new FamilyIndex<T>(32), 6: new FamilyIndex<T>(128) };

  add(prefix: Cidr, value: T): void {
    this.#families[prefix.family].add(prefix, value);
  }

  /** What was added with a prefix that overlaps this one (one of them); undefined when there is none. */
  overlapping(prefix: Cidr): T | undefined {
    return this.#families[prefix.family].overlapping(prefix);
  }
}

type Key = bigint | number;

class FamilyIndex<T> {
  readonly #bits: 32 | 128;
  /** By length, then by the bits of the prefix. */
  readonly #exact = new Map<number, Map<Key, { prefix: Cidr; value: T }>>();
  readonly #all: { prefix: Cidr; value: T }[] = [];
  /** By length, then by the first bits: a longer prefix that begins so. Made when first asked for. */
  readonly #longer = new Map<number, Map<Key, T>>();

  constructor(bits: 32 | 128) {
    this.#bits = bits;
  }

  add(prefix: Cidr, value: T): void {
    const { prefixLength } = prefix;
    let exact = this.#exact.get(prefixLength);
    if (exact === undefined) {
      exact = new Map();
      this.#exact.set(prefixLength, exact);
    }
    const entry = { prefix, value };
    exact.set(this.#key(prefix, prefixLength), entry);
    this.#all.push(entry);
    for (const [length, longer] of this.#longer) {
      if (length < prefixLength) addFirst(longer, this.#key(prefix, length), value);
    }
  }

  overlapping(prefix: Cidr): T | undefined {
    const { prefixLength } = prefix;
    for (const [length, exact] of this.#exact) {
      if (length > prefixLength) continue;
      const found = exact.get(this.#key(prefix, length));
      if (found !== undefined && contains(found.prefix, prefix)) return found.value;
    }
    return this.#longerThan(prefixLength).get(this.#key(prefix, prefixLength));
  }

  #longerThan(length: number): Map<Key, T> {
    let longer = this.#longer.get(length);
    if (longer !== undefined) return longer;
    longer = new Map();
    for (const { prefix, value } of this.#all) {
      if (prefix.prefixLength > length) addFirst(longer, this.#key(prefix, length), value);
    }
    this.#longer.set(length, longer);
    return longer;
  }

  #key({ value }: Cidr, length: number): Key {
    return this.#bits === 32 ? Math.floor(Number(value) / 2 ** (32 - length)) : value >> BigInt(128 - length);
  }
}

const addFirst = <T>(map: Map<Key, T>, key: Key, value: T): void => {
  if (!map.has(key)) map.set(key, value);
};
