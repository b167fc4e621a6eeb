import { expect, test } from 'vitest';
import { parseAddressMessage } from './address.ts';

// Payloads of RTM_NEWADDR messages recorded from Linux 6.18.
const recorded = {
  ipv4: '0218800002000000080001000a000001080002000a000001080004000a0000ff0800030062723000080008008000000014000600ffffffffffffffff7b1703007b170300',
  pointToPoint:
    '0220800003000000080001000a090002080002000a0900010700030076310000080008008000000014000600ffffffffffffffff7b1703007b170300',
  nodad:
    '0a4082000200000014000100fd00000000000000000000000000000114000600ffffffffffffffff7b1703007b1703000800080082000000',
  tentative:
    '0a40c0fd0200000014000100fe80000000000000000000fffe00000114000600ffffffffffffffff7a1703007a17030008000800c000000005000b0003000000',
};

const parse = (hex: string) => parseAddressMessage(Uint8Array.from(Buffer.from(hex, 'hex')));

const plain = {
  scope: 0,
  tentative: false,
  dadFailed: false,
  permanent: true,
  deprecated: false,
  secondary: false,
};

test('IPv4', () => {
  expect(parse(recorded.ipv4)).toEqual({ ...plain, address: '10.0.0.1', prefixLength: 24, family: 4 });
});

test('a point-to-point address has a peer', () => {
  expect(parse(recorded.pointToPoint)).toEqual({
    ...plain,
    address: '10.9.0.1',
    prefixLength: 32,
    family: 4,
    peer: '10.9.0.2',
  });
});

test('IPv6 without duplicate address detection', () => {
  expect(parse(recorded.nodad)).toEqual({ ...plain, address: 'fd00::1', prefixLength: 64, family: 6 });
});

test('a link-local address under detection', () => {
  expect(parse(recorded.tentative)).toMatchObject({
    address: 'fe80::ff:fe00:1',
    scope: 253,
    tentative: true,
  });
});

test('flags beyond the first eight come from the attribute', () => {
  const failed = recorded.tentative.replace('08000800c0000000', '08000800c8020000');
  expect(parse(failed)).toMatchObject({ tentative: true, dadFailed: true, permanent: true });
});

test('a message without address, or with one of a wrong length, is refused', () => {
  expect(() => parse('0218800002000000')).toThrow(RangeError);
  expect(() => parse('02188000020000000a0001000a00000100000000')).toThrow(RangeError);
});
