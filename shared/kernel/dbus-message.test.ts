import { expect, test } from 'vitest';
import { encodeDbusCall, parseDbusMessage } from './dbus-message.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.fromHex(hex.replaceAll(/\s/g, ''));

const getNameOwner = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
  member: 'GetNameOwner',
  arguments: ['a'],
};

test('a method call, laid out as the specification has it', () => {
  const call = encodeDbusCall(getNameOwner, 7);
  const view = new DataView(call.buffer);
  // Little-endian, method call, no flags, version 1; the body is a length, "a" and a NUL.
  expect([...call.subarray(0, 4)]).toEqual([0x6c, 1, 0, 1]);
  expect([view.getUint32(4, true), view.getUint32(8, true)]).toEqual([6, 7]);
  const fields = 16 + view.getUint32(12, true);
  const body = (fields + 7) & ~7;
  expect(call.length).toBe(body + 6);
  expect([...call.subarray(body)]).toEqual([1, 0, 0, 0, 0x61, 0]);
  const text = new TextDecoder().decode(call);
  for (const part of ['o\0\x15\0\0\0/org/freedesktop/DBus\0', 's\0\f\0\0\0GetNameOwner\0', 'g\0\x01s\0']) {
    expect(text).toContain(part);
  }
});

test('without arguments there is neither a body nor a signature', () => {
  const call = encodeDbusCall({ ...getNameOwner, arguments: [] }, 1);
  expect(new DataView(call.buffer).getUint32(4, true)).toBe(0);
  expect(new TextDecoder().decode(call)).not.toContain('g\0');
});

// Answers of dbus-daemon 1.14.
const answer = bytes(`
  6c02 0101 0900 0000 0300 0000 3d00 0000
  0601 7300 0500 0000 3a31 2e34 3400 0000
  0501 7500 0200 0000
  0801 6700 0173 0000
  0701 7300 1400 0000 6f72 672e 6672 6565 6465 736b 746f 702e 4442 7573 0000 0000
  0400 0000 3a31 2e32 00
`);

test('an answer with a text, and what follows it', () => {
  const more = new Uint8Array([...answer, 1, 2, 3]);
  expect(parseDbusMessage(more)).toEqual({ reply: { replyTo: 2, value: ':1.2' }, length: answer.length });
  for (let length = 0; length < answer.length; length += 1) {
    expect(parseDbusMessage(answer.slice(0, length))).toBeUndefined();
  }
});

test('an error, a boolean, and a type that is not read', () => {
  const call = encodeDbusCall({ ...getNameOwner, arguments: ['b'] }, 9);
  const error = Uint8Array.from(call);
  error[1] = 3;
  expect(parseDbusMessage(error)?.reply).toEqual({ replyTo: 0, errorName: 'error', value: 'b' });
  const boolean = answer.slice();
  boolean[boolean.indexOf(0x73, 40)] = 0x62;
  expect(parseDbusMessage(boolean)?.reply.value).toBe(true);
  const other = answer.slice();
  other[other.indexOf(0x73, 40)] = 0x78;
  expect(parseDbusMessage(other)?.reply).toEqual({ replyTo: 2 });
});

test('what is malformed is refused', () => {
  expect(() => parseDbusMessage(bytes('42'.repeat(16)))).toThrow(RangeError);
  const huge = answer.slice();
  huge.set([0xff, 0xff, 0xff, 0x7f], 4);
  expect(() => parseDbusMessage(huge)).toThrow(RangeError);
});
