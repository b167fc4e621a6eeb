import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeEntry, decodeText, encodeKeyAfter, encodePrefixEnd, encodeText } from './encoding.ts';

const bytes = (base64: string): Buffer => Buffer.from(base64, 'base64');

test('the end of a prefix is above all keys that have it, and below all others that are above it', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string(), (prefix, key) => {
      const inside = Buffer.from(prefix + key);
      const end = bytes(encodePrefixEnd(prefix));
      expect(inside.compare(end)).toBeLessThan(0);
      const other = Buffer.from(key);
      const start = Buffer.from(prefix);
      const hasPrefix = other.subarray(0, start.length).equals(start);
      expect(other.compare(start) >= 0 && other.compare(end) < 0).toBe(hasPrefix);
    }),
  );
  expect(bytes(encodePrefixEnd('/a/')).toString()).toBe('/a0');
});

test('the end of the empty prefix is the end of all keys', () => {
  expect(bytes(encodePrefixEnd(''))).toEqual(Buffer.of(0));
});

test('the key after a key is the next one there can be', () => {
  expect(bytes(encodeKeyAfter('/a'))).toEqual(Buffer.from('/a\0'));
});

test('text comes back as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(decodeText(encodeText(text))).toBe(text);
    }),
  );
});

test('what etcd leaves out is zero; revisions and leases keep all their digits', () => {
  expect(decodeEntry({ key: encodeText('/a') })).toEqual({
    key: '/a',
    value: '',
    createRevision: 0n,
    modRevision: 0n,
    lease: '0',
  });
  const entry = { key: '', mod_revision: '9223372036854775807', lease: '7587862094729515011' };
  expect(decodeEntry(entry)).toMatchObject({
    modRevision: 9223372036854775807n,
    lease: '7587862094729515011',
  });
});
