import { bitsOf, type Cidr, lastOf, networkOf } from '../../shared/kernel/address-math.ts';

/**
 * The first prefix of `prefixLength` in `range` that overlaps none that are taken, in the order of a node: from a place
 * that its name decides on, upwards, and from the beginning. So nodes seldom want the same. Undefined when all are
 * taken. Prefixes of the other family are ignored. Pure.
 */
export const nextFreeSubnet = (
  range: Cidr,
  prefixLength: number,
  node: string,
  taken: readonly Cidr[],
): Cidr | undefined => {
  const { family, value: first } = networkOf(range);
  const shift = BigInt(bitsOf(family) - prefixLength);
  const count = 1n << BigInt(prefixLength - range.prefixLength);
  const slots = taken
    .filter((prefix) => prefix.family === family)
    .map((prefix) => ({
      from: (networkOf(prefix).value - first) >> shift,
      to: (lastOf(prefix).value - first) >> shift,
    }))
    .toSorted((a, b) => (a.from === b.from ? 0 : a.from < b.from ? -1 : 1));
  const start = hashOf(node) % count;
  const slot = freeFrom(start, count, slots) ?? freeFrom(0n, start, slots);
  return slot === undefined ? undefined : { family, value: first + (slot << shift), prefixLength };
};

/** FNV-1a of 64 bits: the same in every version. */
const hashOf = (text: string): bigint => {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
};

/** The first number from `start` to before `end` in none of the intervals, which are sorted. */
const freeFrom = (start: bigint, end: bigint, taken: { from: bigint; to: bigint }[]): bigint | undefined => {
  let candidate = start;
  for (const { from, to } of taken) {
    if (from > candidate) break;
    if (to >= candidate) candidate = to + 1n;
  }
  return candidate < end ? candidate : undefined;
};
