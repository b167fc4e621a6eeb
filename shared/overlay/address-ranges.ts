import { type Address, bitsOf, type Cidr, formatAddress, lastOf, networkOf } from '../kernel/address-math.ts';

/** The addresses from `first` to `last`, both included. */
export interface AddressRange {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

/** The addresses of the prefixes as the fewest ranges, of IPv4 first, each family in order. */
export const aggregate = (prefixes: readonly Cidr[]): AddressRange[] => mergeRanges(prefixes.map(rangeOf));

/** The same addresses as the fewest ranges: overlapping and adjacent ones become one. */
export const mergeRanges = (ranges: readonly AddressRange[]): AddressRange[] => {
  const merged: AddressRange[] = [];
  for (const range of ranges.toSorted(compareRanges)) {
    const before = merged.at(-1);
    if (before !== undefined && before.family === range.family && range.first <= before.last + 1n) {
      if (range.last > before.last) merged[merged.length - 1] = { ...before, last: range.last };
    } else {
      merged.push(range);
    }
  }
  return merged;
};

/** The fewest prefixes that hold exactly the addresses of the range, in order. */
export const prefixesOf = ({ family, first, last }: AddressRange): Cidr[] => {
  const bits = bitsOf(family);
  const prefixes: Cidr[] = [];
  for (let value = first; value <= last; ) {
    let prefixLength = bits;
    // The next larger prefix must begin here and must not reach beyond the end.
    while (prefixLength > 0) {
      const larger = { family, value, prefixLength: prefixLength - 1 };
      if (networkOf(larger).value !== value || lastOf(larger).value > last) break;
      prefixLength -= 1;
    }
    const prefix = { family, value, prefixLength };
    prefixes.push(prefix);
    value = lastOf(prefix).value + 1n;
  }
  return prefixes;
};

/** Whether two lists of merged ranges hold the same addresses. */
export const sameRanges = (one: readonly AddressRange[], other: readonly AddressRange[]): boolean =>
  one.length === other.length &&
  one.every(
    (range, index) => compareRanges(range, other[index] ?? range) === 0 && range.last === other[index]?.last,
  );

/** As nft writes an interval: `10.0.0.0-10.0.255.255`; a single address without the dash. */
export const formatRange = ({ family, first, last }: AddressRange): string => {
  const address = (value: bigint): string => formatAddress({ family, value } satisfies Address);
  return first === last ? address(first) : `${address(first)}-${address(last)}`;
};

const rangeOf = (prefix: Cidr): AddressRange => ({
  family: prefix.family,
  first: networkOf(prefix).value,
  last: lastOf(prefix).value,
});

const compareRanges = (one: AddressRange, other: AddressRange): number => {
  if (one.family !== other.family) return one.family - other.family;
  if (one.first === other.first) return 0;
  return one.first < other.first ? -1 : 1;
};
