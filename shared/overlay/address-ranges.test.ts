import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Cidr, contains, formatCidr, networkOf, parseCidr } from '../kernel/address-math.ts';
import { aggregate, formatRange, mergeRanges, prefixesOf, sameRanges } from './address-ranges.ts';

const cidrs = (...texts: string[]): Cidr[] =>
  texts.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined) throw new Error(text);
    return cidr;
  });

test.for<[string, string[], string[]]>([
  ['nothing', [], []],
  ['neighbours become one', ['10.244.0.0/24', '10.244.1.0/24'], ['10.244.0.0-10.244.1.255']],
  ['also where no prefix holds both', ['10.244.1.0/24', '10.244.2.0/24'], ['10.244.1.0-10.244.2.255']],
  ['what is inside another goes', ['10.0.0.0/8', '10.244.2.0/24', '10.0.0.0/8'], ['10.0.0.0-10.255.255.255']],
  ['a gap stays', ['10.244.3.0/24', '10.244.1.0/24'], ['10.244.1.0-10.244.1.255', '10.244.3.0-10.244.3.255']],
  ['host bits are cleared', ['10.244.1.7/24'], ['10.244.1.0-10.244.1.255']],
  ['an address', ['192.0.2.1/32'], ['192.0.2.1']],
  [
    'everything',
    ['0.0.0.0/0', '::/0'],
    ['0.0.0.0-255.255.255.255', '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ],
  [
    'families apart, IPv4 first',
    ['fd00:244:1::/64', 'fd00:244::/64', '10.0.0.0/8'],
    [
      '10.0.0.0-10.255.255.255',
      'fd00:244::-fd00:244::ffff:ffff:ffff:ffff',
      'fd00:244:1::-fd00:244:1:0:ffff:ffff:ffff:ffff',
    ],
  ],
  [
    'IPv6 neighbours',
    ['fd00:244:0:1::/64', 'fd00:244::/64'],
    ['fd00:244::-fd00:244:0:1:ffff:ffff:ffff:ffff'],
  ],
])('aggregate: %s', ([, prefixes, ranges]) => {
  expect(aggregate(cidrs(...prefixes)).map(formatRange)).toEqual(ranges);
});

test.for<[string, string[], string[]]>([
  ['one prefix', ['10.244.0.0/24', '10.244.1.0/24'], ['10.244.0.0/23']],
  ['several', ['10.244.1.0/24', '10.244.2.0/24', '10.244.3.0/24'], ['10.244.1.0/24', '10.244.2.0/23']],
  ['everything', ['0.0.0.0/0'], ['0.0.0.0/0']],
  ['an address', ['fd00::1/128'], ['fd00::1/128']],
])('prefixes of a range: %s', ([, prefixes, expected]) => {
  expect(
    aggregate(cidrs(...prefixes))
      .flatMap(prefixesOf)
      .map(formatCidr),
  ).toEqual(expected);
});

const cidr4 = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: 32 }))
  .map(([value, prefixLength]): Cidr => networkOf({ family: 4, value: BigInt(value), prefixLength }));
const cidr6 = fc
  .tuple(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), fc.integer({ min: 0, max: 128 }))
  .map(([value, prefixLength]): Cidr => networkOf({ family: 6, value, prefixLength }));

test('ranges and their prefixes hold what was given, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(cidr4, cidr6)), (prefixes) => {
      const ranges = aggregate(prefixes);
      const again = ranges.flatMap(prefixesOf);
      expect(sameRanges(aggregate(again), ranges)).toBe(true);
      expect(mergeRanges(ranges)).toEqual(ranges);
      for (const { family, value } of prefixes) {
        expect(again.some((prefix) => contains(prefix, { family, value }))).toBe(true);
      }
      const edges = ranges.flatMap(({ family, first, last }) => [
        { family, value: first - 1n },
        { family, value: last + 1n },
      ]);
      for (const edge of edges) {
        if (edge.value < 0n || edge.value >= 2n ** (edge.family === 4 ? 32n : 128n)) continue;
        expect(prefixes.some((prefix) => contains(prefix, edge))).toBe(false);
      }
    }),
  );
});

test('ranges that differ are not the same', () => {
  const [one, other] = [aggregate(cidrs('10.0.0.0/24')), aggregate(cidrs('10.0.0.0/25'))];
  expect(sameRanges(one, other)).toBe(false);
  expect(sameRanges(one, [])).toBe(false);
  expect(sameRanges(one, one)).toBe(true);
});
