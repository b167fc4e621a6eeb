import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Cidr, contains, networkOf } from '../kernel/address-math.ts';
import { PrefixIndex } from './prefix-index.ts';

// Few bits differ, so that many overlap.
const prefix: fc.Arbitrary<Cidr> = fc.oneof(
  fc
    .tuple(fc.nat(255), fc.integer({ min: 8, max: 32 }))
    .map(([bits, prefixLength]) =>
      networkOf({ family: 4, value: 0xac000000n + (BigInt(bits) << 16n), prefixLength }),
    ),
  fc
    .tuple(fc.nat(255), fc.integer({ min: 0, max: 128 }))
    .map(([bits, prefixLength]) =>
      networkOf({ family: 6, value: (0xfd00n << 112n) + (BigInt(bits) << 60n), prefixLength }),
    ),
);

test('overlaps are those found by comparing each with each', () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 30 }), (prefixes) => {
      const index = new PrefixIndex<Cidr>();
      const added: Cidr[] = [];
      for (const one of prefixes) {
        const expected = added.filter(
          (other) => other.family === one.family && (contains(other, one) || contains(one, other)),
        );
        const found = index.overlapping(one);
        if (expected.length === 0) expect(found).toBeUndefined();
        else expect(expected).toContainEqual(found);
        index.add(one, one);
        added.push(one);
      }
    }),
    { numRuns: 1000 },
  );
});
