import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Span } from './memory-index.ts';
import { formatSpans, searchOrder, setHolds, sizeOf } from './spans.ts';

const v4 = (first: number, last: number): Span => ({ family: 4, first: BigInt(first), last: BigInt(last) });

/** Disjoint spans, as a validated range set has them. */
const spans = fc
  .uniqueArray(fc.integer({ min: 0, max: 60 }), { minLength: 2, maxLength: 8 })
  .map((ends) => {
    const sorted = ends.sort((a, b) => a - b);
    return sorted.flatMap((first, index) => (index % 2 === 0 ? [v4(first, sorted[index + 1] ?? first)] : []));
  })
  .chain((sorted) => fc.shuffledSubarray(sorted, { minLength: sorted.length }));

const addressesOf = (list: Span[]): bigint[] =>
  list.flatMap(({ first, last }) =>
    Array.from({ length: Number(last - first) + 1 }, (_, i) => first + BigInt(i)),
  );

test('the search meets every address once, the one given last at the end', () => {
  fc.assert(
    fc.property(spans, fc.integer({ min: 0, max: 60 }), (set, last) => {
      const pointer = { family: 4 as const, value: BigInt(last) };
      const order = addressesOf(searchOrder(set, pointer));
      const all = addressesOf(set);
      expect([...order].sort()).toEqual([...all].sort());
      if (setHolds({ spans: set }, pointer)) {
        expect(order.at(-1)).toBe(pointer.value);
        expect(order[0]).toBe(all[(all.indexOf(pointer.value) + 1) % all.length]);
      } else {
        expect(order).toEqual(all);
      }
    }),
  );
});

test('without an address given last, or one of the other family, the search begins at the beginning', () => {
  const set = [v4(5, 9), v4(1, 3)];
  expect(searchOrder(set, undefined)).toEqual(set);
  expect(searchOrder(set, { family: 6, value: 6n })).toEqual(set);
});

test('the size leaves out each gateway inside once', () => {
  const gateway = { family: 4 as const, value: 6n };
  const outside = { family: 4 as const, value: 20n };
  expect(sizeOf({ id: 0, spans: [v4(5, 9), v4(1, 3)], excluded: [gateway, gateway, outside] })).toBe(7n);
});

test('spans read as ranges', () => {
  const first = 0x0a010001;
  expect(formatSpans([v4(first, first + 253), v4(first + 256, first + 256)])).toBe(
    '10.1.0.1-10.1.0.254, 10.1.1.1-10.1.1.1',
  );
});
