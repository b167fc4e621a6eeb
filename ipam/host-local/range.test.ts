import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fields } from '../../shared/cni/fields.ts';
import { formatAddress } from '../../shared/kernel/address-math.ts';
import { formatRange, overlap, parseRange } from './range.ts';

const parse = (range: object) => parseRange(new Fields(range as never, 'ipam.ranges[0][0]'));

test.each([
  [{ subnet: '10.1.0.0/24' }, '10.1.0.1-10.1.0.254', '10.1.0.1'],
  [{ subnet: '10.1.0.0/30' }, '10.1.0.1-10.1.0.2', '10.1.0.1'],
  [{ subnet: 'FD00:0::/126' }, 'fd00::1-fd00::3', 'fd00::1'],
  [{ subnet: '0.0.0.0/0' }, '0.0.0.1-255.255.255.254', '0.0.0.1'],
  [{ subnet: '10.1.0.0/24', rangeStart: '', rangeEnd: '', gateway: '' }, '10.1.0.1-10.1.0.254', '10.1.0.1'],
  [
    { subnet: '10.1.0.0/24', rangeStart: '10.1.0.0', rangeEnd: '10.1.0.255' },
    '10.1.0.0-10.1.0.255',
    '10.1.0.1',
  ],
  [{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.9', rangeEnd: '10.1.0.9' }, '10.1.0.9-10.1.0.9', '10.1.0.1'],
  [{ subnet: '10.1.0.0/24', rangeStart: '::ffff:10.1.0.9' }, '10.1.0.9-10.1.0.254', '10.1.0.1'],
  [{ subnet: '10.1.0.0/24', gateway: '192.168.0.1' }, '10.1.0.1-10.1.0.254', '192.168.0.1'],
  [{ SUBNET: '10.1.0.0/24', RangeEnd: '10.1.0.20' }, '10.1.0.1-10.1.0.20', '10.1.0.1'],
])('%j', (range, addresses, gateway) => {
  expect(formatRange(parse(range))).toBe(addresses);
  expect(formatAddress(parse(range).gateway)).toBe(gateway);
});

test.each([
  [{}, 'subnet', 'nothing'],
  [{ subnet: '' }, 'subnet', '""'],
  [{ subnet: 7 }, 'subnet', '7'],
  [{ subnet: '10.1.0.0' }, 'subnet', '"10.1.0.0"'],
  [{ subnet: '10.1.0.0/33' }, 'subnet', '"10.1.0.0/33"'],
  [{ subnet: '10.01.0.0/24' }, 'subnet', '"10.01.0.0/24"'],
  [{ subnet: '10.1.0.0/31' }, 'subnet', '"10.1.0.0/31"'],
  [{ subnet: 'fd00::/127' }, 'subnet', '"fd00::/127"'],
  [{ subnet: '10.1.0.1/24' }, 'subnet', '"10.1.0.1/24"'],
  [{ subnet: '10.1.0.0/24', rangeStart: '10.2.0.1' }, 'rangeStart', '"10.2.0.1"'],
  [{ subnet: '10.1.0.0/24', rangeStart: 'fd00::1' }, 'rangeStart', '"fd00::1"'],
  [{ subnet: '10.1.0.0/24', rangeEnd: '10.1.1.1' }, 'rangeEnd', '"10.1.1.1"'],
  [{ subnet: '10.1.0.0/24', rangeEnd: 'x' }, 'rangeEnd', '"x"'],
  [{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.9', rangeEnd: '10.1.0.8' }, 'rangeEnd', '"10.1.0.8"'],
  [{ subnet: '10.1.0.0/24', rangeEnd: '10.1.0.0' }, 'rangeEnd', '"10.1.0.0"'],
  [{ subnet: '10.1.0.0/24', gateway: ['10.1.0.1'] }, 'gateway', '["10.1.0.1"]'],
  [{ subnet: '10.1.0.0/24', gateway: 'fd00::1' }, 'gateway', '"fd00::1"'],
])('%j is refused for its %s', (range, key, value) => {
  expect(() => parse(range)).toThrow(
    expect.objectContaining({
      code: 7,
      message: expect.stringMatching(new RegExp(`"ipam\\.ranges\\[0\\]\\[0\\]\\.${key}".*got `)),
    }),
  );
  expect(() => parse(range)).toThrow(value);
});

test('ranges overlap when they have an address in common', () => {
  const range = fc.tuple(fc.nat(20), fc.nat(20)).map(([a, b]) => ({
    family: 4 as const,
    first: BigInt(Math.min(a, b)),
    last: BigInt(Math.max(a, b)),
  }));
  fc.assert(
    fc.property(range, range, (a, b) => {
      const common = Array.from({ length: 21 }, (_, n) => BigInt(n)).some(
        (n) => a.first <= n && n <= a.last && b.first <= n && n <= b.last,
      );
      expect(overlap(a, b)).toBe(common);
      expect(overlap(a, { ...b, family: 6 })).toBe(false);
    }),
  );
});
