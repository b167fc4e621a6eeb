import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Cidr, contains, networkOf } from '../kernel/address-math.ts';
import { overlap, prefixBits } from './prefix-bits.ts';

const prefixOf = (family: 4 | 6, bits: number): fc.Arbitrary<Cidr> =>
  fc
    .tuple(
      fc.oneof(
        fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n }),
        // Of few bits that differ.
        fc.nat(bits - 1).map((at) => 1n << BigInt(at)),
      ),
      fc.nat(bits),
    )
    .map(([value, prefixLength]) => networkOf({ family, value, prefixLength }));
const prefix = fc.oneof(prefixOf(4, 32), prefixOf(6, 128));

test('prefixes overlap as one contains the other', () => {
  fc.assert(
    fc.property(prefix, prefix, (a, b) => {
      const expected = a.prefixLength <= b.prefixLength ? contains(a, b) : contains(b, a);
      expect(overlap(prefixBits(a), prefixBits(b))).toBe(expected);
      expect(overlap(prefixBits(a), prefixBits(a))).toBe(true);
    }),
    { numRuns: 5000 },
  );
});
