import { type Address, formatAddress } from '../../kernel/address-math.ts';
import type { Span } from './memory-index.ts';

/** A range set: one address is given out of it per attachment. */
export interface AddressSet {
  /** Its place in the configuration: the pointer's file is `last_reserved_ip.<id>`. */
  id: number;
  spans: Span[];
  /** Never given out: the gateways. */
  excluded: Address[];
  /** The address to give, when a certain one is wanted; it lies in a span and is not excluded. */
  requested?: Address;
}

export const spanHolds = (span: Span, { family, value }: Address): boolean =>
  span.family === family && span.first <= value && value <= span.last;

export const setHolds = ({ spans }: Pick<AddressSet, 'spans'>, address: Address): boolean =>
  spans.some((span) => spanHolds(span, address));

export const isSameAddress = (a: Address, b: Address): boolean =>
  a.family === b.family && a.value === b.value;

/** `10.1.0.1-10.1.0.254, 10.2.0.1-10.2.0.254` */
export const formatSpans = (spans: Span[]): string =>
  spans
    .map(({ family, first, last }) =>
      [first, last].map((value) => formatAddress({ family, value })).join('-'),
    )
    .join(', ');

/** How many addresses can be given out of a set. */
export const sizeOf = ({ spans, excluded }: AddressSet): bigint => {
  const total = spans.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
  const unique = new Set(excluded.filter((address) => setHolds({ spans }, address)).map(formatAddress));
  return total - BigInt(unique.size);
};

/**
 * The spans in the order of the search, which is round robin as in the reference: from behind the
 * address last given to the end of its span, through the other spans in turn, and around to that
 * address itself. From the beginning when none was given yet, or one outside the set.
 */
export const searchOrder = (spans: Span[], last: Address | undefined): Span[] => {
  const index = last === undefined ? -1 : spans.findIndex((span) => spanHolds(span, last));
  const current = spans[index];
  if (last === undefined || current === undefined) return spans;
  return [
    { ...current, first: last.value + 1n },
    ...spans.slice(index + 1),
    ...spans.slice(0, index),
    { ...current, last: last.value },
  ].filter(({ first, last }) => first <= last);
};
