import { describe, expect, test } from 'vitest';
import {
  encodeAttribute,
  encodeMessage,
  encodeU32,
  parseAttributes,
  parseMessages,
  readText,
} from './netlink-message.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test('encodes an RTM_GETLINK by name as iproute2 does', () => {
  const message = encodeMessage(
    { type: 18, flags: 1, sequence: 0x01020304 },
    new Uint8Array(16),
    encodeAttribute(3, Buffer.from('lo\0')),
    encodeAttribute(29, encodeU32(8)),
  );
  expect(Buffer.from(message).toString('hex')).toBe(
    '300000001200010004030201 00000000 00000000000000000000000000000000 070003006c6f0000 08001d0008000000'.replaceAll(
      ' ',
      '',
    ),
  );
});

describe('parseMessages', () => {
  const two = hex(
    '14000000 0300 0200 07000000 00000000 00000000 11000000 1000 0000 07000000 00000000 ff000000',
  );

  test('splits what one receive call returned, and skips the padding', () => {
    expect(parseMessages(two)).toEqual([
      { type: 3, flags: 2, sequence: 7, payload: hex('00000000') },
      { type: 16, flags: 0, sequence: 7, payload: hex('ff') },
    ]);
    expect(parseMessages(new Uint8Array())).toEqual([]);
  });

  test.each([
    ['a cut header', two.slice(0, 30)],
    ['a cut payload', two.slice(0, 36)],
    ['a length below the header', hex('0f000000 0300 0200 07000000 00000000')],
    ['a length of zero', new Uint8Array(16)],
  ])('refuses %s', (_, bytes) => {
    expect(() => parseMessages(bytes)).toThrow(RangeError);
  });
});

describe('parseAttributes', () => {
  test('reads values, ignores the flags in the type, keeps the last of a kind', () => {
    const attributes = parseAttributes(hex('ffff 0500 0180 aa000000 0400 0200 0600 0140 bbcc 0000'), 2);
    expect([...attributes]).toEqual([
      [1, hex('bbcc')],
      [2, new Uint8Array()],
    ]);
  });

  test('takes an unpadded last attribute', () => {
    expect(parseAttributes(hex('0500 0100 aa')).get(1)).toEqual(hex('aa'));
  });

  test.each(['0300 0100', '0900 0100 aabbccdd', '0400 01', '0800 0100 00000000 04'])('refuses %s', (text) => {
    expect(() => parseAttributes(hex(text))).toThrow(RangeError);
  });

  test('refuses a payload shorter than the struct in front', () => {
    expect(() => parseAttributes(hex('00'), 16)).toThrow(RangeError);
  });
});

test('readText ends at the first zero byte, or with the value', () => {
  expect(readText(hex('627230 00 ff'))).toBe('br0');
  expect(readText(hex('627230'))).toBe('br0');
  expect(readText(undefined)).toBeUndefined();
});
