import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Cidr, contains, formatCidr, lastOf, parseCidr } from '../../shared/kernel/address-math.ts';
import { nextFreeSubnet } from './subnet-order.ts';

const cidr = (text: string): Cidr => parseCidr(text) as Cidr;

const allOf = (range: Cidr, prefixLength: number, node: string): string[] => {
  const taken: Cidr[] = [];
  for (;;) {
    const free = nextFreeSubnet(range, prefixLength, node, taken);
    if (free === undefined) return taken.map(formatCidr);
    taken.push(free);
  }
};

test('each prefix of the range is given once', () => {
  const given = allOf(cidr('10.244.0.0/20'), 24, 'n1');
  expect(given).toHaveLength(16);
  expect(given.toSorted()).toEqual(
    Array.from({ length: 16 }, (_, index) => `10.244.${index}.0/24`).toSorted(),
  );
  expect(allOf(cidr('10.244.3.0/24'), 24, 'n1')).toEqual(['10.244.3.0/24']);
});

test('nodes begin at different places, each always at its own', () => {
  const range = cidr('fd00:244::/48');
  const first = (node: string) => formatCidr(nextFreeSubnet(range, 64, node, []) as Cidr);
  const names = Array.from({ length: 100 }, (_, index) => `node-${index}`);
  expect(new Set(names.map(first)).size).toBeGreaterThan(95);
  expect(first('node-1')).toBe(first('node-1'));
});

test('what overlaps a prefix that is taken, smaller or larger, is not given', () => {
  const range = cidr('10.0.0.0/22');
  const taken = ['10.0.0.7/32', '10.0.2.0/23', '192.0.2.0/24', 'fd00::/64'].map(cidr);
  expect(formatCidr(nextFreeSubnet(range, 24, 'n', taken) as Cidr)).toBe('10.0.1.0/24');
  expect(nextFreeSubnet(range, 24, 'n', [...taken, cidr('10.0.0.0/8')])).toBeUndefined();
});

test('it is in the range and overlaps nothing, whatever is taken; or nothing is free', () => {
  const prefix = fc
    .record({ value: fc.bigInt(0x0a000000n, 0x0a0fffffn), prefixLength: fc.integer({ min: 12, max: 32 }) })
    .map(({ value, prefixLength }) => cidr(formatCidr({ family: 4, value, prefixLength })));
  const range = cidr('10.4.0.0/14');
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 40 }), fc.string(), (taken, node) => {
      const overlaps = (one: Cidr) =>
        taken.some((other) => contains(one, other) || contains(other, one) || contains(other, lastOf(one)));
      const free = nextFreeSubnet(range, 20, node, taken);
      if (free !== undefined) {
        expect(contains(range, free) && contains(range, lastOf(free))).toBe(true);
        expect(overlaps(free)).toBe(false);
        return;
      }
      for (let slot = 0n; slot < 64n; slot++) {
        expect(overlaps({ family: 4, value: range.value + (slot << 12n), prefixLength: 20 })).toBe(true);
      }
    }),
  );
});
