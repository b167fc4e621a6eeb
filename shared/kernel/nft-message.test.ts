import { describe, expect, test } from 'vitest';
import { encodeGetElement, parseChain, parseElements, parseRule } from './nft-message.ts';

// Payloads as kernel 6.18 sent them for a table that nft 1.0.6 had filled.
const CHAIN = `
  0100000317000100706f64776972655f6d617371756572616465000010000300706f7374726f7574696e67000c0002000000
  00000000000314000400080001000000000408000200000000640800050000000001080007006e61740008000a0000000001
  0800060000000002`;
const RULE = `
  0100000317000100706f64776972655f6d617371756572616465000010000200706f7374726f7574696e67000c0003000000
  000000000005c000040024000100090001006d6574610000000014000200080002000000000f08000100000000012c000100
  08000100636d700020000200080001000000000108000200000000000c0003000500010002000000340001000c0001007061
  796c6f6164002400020008000100000000010800020000000001080003000000000c0800040000000004380001000b000100
  6c6f6f6b75700000280002000a000100706f6473340000000800020000000001080003000000000008000500000000001700
  07000011706f64776972652032373834626531370000`;
const ELEMENTS = `
  0100000317000100706f64776972655f6d61737175657261646500000a000200706f6473340000009c0003004c0001000c00
  0100080001000a010003280002002400020008000100fffffffd1500020066726f6d2d31302e312e302e302f313600000000
  12000600000c6e657420633220657468300000004c0001000c000100080001000a010002280002002400020008000100ffff
  fffd1500020066726f6d2d31302e312e302e302f31360000000012000600000c6e65742063312065746830000000`;

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

test('parseChain reads name, handle and hook', () => {
  expect(parseChain(bytes(CHAIN))).toEqual({
    table: 'podwire_masquerade',
    name: 'postrouting',
    handle: 3n,
    hook: 4,
    priority: 100,
    policy: 'accept',
  });
});

test('parseRule reads handle and comment', () => {
  expect(parseRule(bytes(RULE))).toEqual({ handle: 5n, comment: 'podwire 2784be17' });
});

describe('parseElements', () => {
  test('reads all elements of one message', () => {
    expect(parseElements(bytes(ELEMENTS))).toEqual([
      { key: new Uint8Array([10, 1, 0, 3]), jump: 'from-10.1.0.0/16', comment: 'net c2 eth0' },
      { key: new Uint8Array([10, 1, 0, 2]), jump: 'from-10.1.0.0/16', comment: 'net c1 eth0' },
    ]);
  });

  test('a message without elements has none', () => {
    expect(parseElements(bytes('01000003'))).toEqual([]);
  });

  test('a list that is cut off is an error', () => {
    const cut = bytes(ELEMENTS).slice();
    cut[44] = 0xff;
    expect(() => parseElements(cut)).toThrow(RangeError);
  });
});

test('encodeGetElement nests the key as nf_tables wants it', () => {
  const message = encodeGetElement('inet', 't', 's', new Uint8Array([10, 1, 0, 2]));
  const [header, payload] = [message.subarray(0, 8), message.subarray(16)];
  expect(Buffer.from(header).toString('hex')).toBe('380000000d0a0100');
  expect(Buffer.from(payload).toString('hex')).toBe(
    '010000000600010074000000060002007300000014000380100001800c000180080001000a010002',
  );
});
