import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import {
  type Cidr,
  contains,
  firstHostOf,
  formatAddress,
  formatAddressBytes,
  formatCidr,
  lastOf,
  networkOf,
  parseAddress,
  parseCidr,
} from './address-math.ts';

const ipv4 = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
// Half of them with runs of zeros, which is what makes IPv6 texts interesting.
const ipv6 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
  fc
    .array(fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
      minLength: 8,
      maxLength: 8,
    })
    .map((groups) => groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n)),
);
const bytesOf = (value: bigint, length: number) =>
  Array.from({ length }, (_, index) => Number((value >> BigInt(8 * (length - 1 - index))) & 0xffn));
const isMapped = (value: bigint) => value >> 32n === 0xffffn;

describe('compared with ipaddr.js', () => {
  test('IPv4 texts', () => {
    fc.assert(
      fc.property(ipv4, (value) => {
        const text = formatAddress({ family: 4, value });
        expect(text).toBe(ipaddr.fromByteArray(bytesOf(value, 4)).toString());
        expect(formatAddressBytes(Uint8Array.from(bytesOf(value, 4)))).toBe(text);
        expect(parseAddress(text)).toEqual({ family: 4, value });
      }),
      { numRuns: 2000 },
    );
  });

  test('IPv6 texts, canonical and in full', () => {
    fc.assert(
      fc.property(ipv6, (value) => {
        fc.pre(!isMapped(value));
        const theirs = ipaddr.fromByteArray(bytesOf(value, 16)) as ipaddr.IPv6;
        const text = formatAddress({ family: 6, value });
        expect(formatAddressBytes(Uint8Array.from(bytesOf(value, 16)))).toBe(text);
        expect(text).toBe(theirs.toRFC5952String());
        for (const form of [
          text,
          text.toUpperCase(),
          theirs.toNormalizedString(),
          theirs.toNormalizedString().replace(/\b[0-9a-f]{1,3}\b/g, (group) => group.padStart(4, '0')),
        ]) {
          expect(parseAddress(form)).toEqual({ family: 6, value });
        }
      }),
      { numRuns: 4000 },
    );
  });

  test('what we accept, they accept with the same value', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'0123456789abfx:./% '), maxLength: 24 });
    const nearly = fc
      .tuple(ipv6, fc.nat(), fc.constantFrom('', ':', '::', '0', '1.2.3.4', '.'))
      .map(([value, at, extra]) => {
        const text = formatAddress({ family: 6, value });
        const cut = at % (text.length + 1);
        return text.slice(0, cut) + extra + text.slice(cut);
      });
    fc.assert(
      fc.property(fc.oneof(noise, nearly), (text) => {
        const ours = parseAddress(text);
        if (ours === undefined) {
          // They take more IPv4 forms (octal, fewer parts) and zones; IPv6 must agree.
          if (text.includes(':') && !/[%.]/.test(text)) expect(ipaddr.IPv6.isValid(text)).toBe(false);
          return;
        }
        // They take an "IPv4-compatible" address for a mapped one.
        fc.pre(!/^::[\d.]+$/.test(text));
        expect(ipaddr.process(text).toByteArray()).toEqual(bytesOf(ours.value, ours.family === 4 ? 4 : 16));
      }),
      { numRuns: 20_000 },
    );
  });

  test('network, last address and membership of prefixes', () => {
    const cidr = fc.oneof(
      fc.tuple(fc.constant(4 as const), ipv4, fc.integer({ min: 0, max: 32 })),
      fc.tuple(fc.constant(6 as const), ipv6, fc.integer({ min: 0, max: 128 })),
    );
    fc.assert(
      fc.property(cidr, ipv4, ipv6, ([family, value, prefixLength], other4, other6) => {
        fc.pre(family === 4 || !isMapped(value));
        const ours: Cidr = { family, value, prefixLength };
        const text = formatCidr(ours);
        expect(parseCidr(text)).toEqual(ours);
        const { IPv4, IPv6 } = ipaddr;
        const network = networkOf(ours);
        const other = { family, value: family === 4 ? other4 : other6 };
        const theirs = (family === 4 ? IPv4 : IPv6).networkAddressFromCIDR(text);
        expect(bytesOf(network.value, family === 4 ? 4 : 16)).toEqual(theirs.toByteArray());
        if (family === 4) {
          expect(formatAddress(lastOf(ours))).toBe(IPv4.broadcastAddressFromCIDR(text).toString());
        }
        const address = ipaddr.fromByteArray(bytesOf(other.value, family === 4 ? 4 : 16));
        expect(contains(ours, other)).toBe(address.match([theirs, prefixLength] as never));
        expect(contains(ours, network) && contains(ours, lastOf(ours))).toBe(true);
        if (prefixLength > 0) {
          expect(contains(ours, { family, value: lastOf(ours).value + 1n })).toBe(false);
        }
      }),
      { numRuns: 4000 },
    );
  });
});

describe('parseAddress', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00::A', 'fd00::a'],
    ['fd00:0:0:1:0:0:0:1', 'fd00:0:0:1::1'],
    ['fd00:0:1:0:1:0:1:0', 'fd00:0:1:0:1:0:1:0'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:1', '10.0.0.1'],
  ])('%j is %s', (text, canonical) => {
    const address = parseAddress(text);
    expect(address && formatAddress(address)).toBe(canonical);
  });

  test.each([
    '',
    '10.0.0',
    '10.0.0.1.2',
    '10.0.0.256',
    '10.0.0.01',
    '10.0.0.00',
    '0x0a.0.0.1',
    '+1.0.0.1',
    ' 10.0.0.1',
    '10.0.0.1\n',
    '10.0.0.1/24',
    '１0.0.0.1',
    ':',
    ':::',
    '1::2::3',
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '1::2:3:4:5:6:7:8',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:1.2.3.4',
    '[::1]',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe('parseCidr', () => {
  test('keeps the host bits, and takes a mapped address for IPv4', () => {
    expect(parseCidr('10.1.2.3/16')).toEqual({ family: 4, value: 0x0a010203n, prefixLength: 16 });
    expect(parseCidr('::/0')).toEqual({ family: 6, value: 0n, prefixLength: 0 });
    expect(parseCidr('::ffff:10.1.2.3/112')).toEqual({ family: 4, value: 0x0a010203n, prefixLength: 16 });
  });

  test.each([
    '10.1.2.3',
    '10.1.2.3/',
    '10.1.2.3/33',
    '10.1.2.3/-1',
    '10.1.2.3/+8',
    '10.1.2.3/08',
    '10.1.2.3/8 ',
    '10.1.2.3/1e1',
    '10.1.2.3/8/8',
    '/8',
    'fd00::/129',
    '::ffff:10.1.2.3/64',
  ])('refuses %j', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});

test('an IPv4-mapped value is written with a dotted quad', () => {
  expect(formatAddress({ family: 6, value: 0xffff_0a000001n })).toBe('::ffff:10.0.0.1');
  expect(formatAddressBytes(Uint8Array.from(bytesOf(0xffff_0a000001n, 16)))).toBe('::ffff:10.0.0.1');
  expect(() => formatAddressBytes(new Uint8Array(5))).toThrow(RangeError);
});

test.each([
  ['10.1.2.3/16', '10.1.0.1'],
  ['fd00::5/64', 'fd00::1'],
  ['10.0.0.7/32', '10.0.0.8'],
  ['255.255.255.255/32', '0.0.0.0'],
])('firstHostOf(%s)', (text, address) => {
  expect(formatAddress(firstHostOf(parseCidr(text) as Cidr))).toBe(address);
});
