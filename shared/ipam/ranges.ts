import { type Cidr, lastOf, networkOf, parseAddress, parseCidr } from '../kernel/address-math.ts';
import type { Span } from '../store/reservations/memory-index.ts';

/** A network's addresses, the first and last included. */
export const spanOf = (cidr: Cidr): Span => ({
  family: cidr.family,
  first: networkOf(cidr).value,
  last: lastOf(cidr).value,
});

/** Reads `10.1.0.0/24`, `10.1.0.7` or `10.1.0.7-10.1.0.20`; undefined for anything else. */
export const parseSpan = (text: string): Span | undefined => {
  const dash = text.indexOf('-');
  if (dash < 0 && text.includes('/')) {
    const cidr = parseCidr(text);
    return cidr && spanOf(cidr);
  }
  const first = parseAddress((dash < 0 ? text : text.slice(0, dash)).trim());
  const last = dash < 0 ? first : parseAddress(text.slice(dash + 1).trim());
  if (first === undefined || last === undefined || first.family !== last.family) return undefined;
  return first.value <= last.value
    ? { family: first.family, first: first.value, last: last.value }
    : undefined;
};

export const spansOverlap = (a: Span, b: Span): boolean =>
  a.family === b.family && a.first <= b.last && b.first <= a.last;

/** What of a span is left without others, in order. */
export const subtract = (span: Span, holes: readonly Span[]): Span[] => {
  let left = [span];
  for (const hole of holes) {
    if (!spansOverlap(span, hole)) continue;
    left = left.flatMap((part) => {
      if (!spansOverlap(part, hole)) return [part];
      return [
        { ...part, last: hole.first - 1n },
        { ...part, first: hole.last + 1n },
      ].filter(({ first, last }) => first <= last);
    });
  }
  return left;
};

export const countOf = (spans: readonly Span[]): bigint =>
  spans.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
