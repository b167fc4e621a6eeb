import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatRecord, ownerText, parseOwner, parseRecords, type Reservation, recordsOf } from './record.ts';

const containerId = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,30}$/);
const ifname = fc.stringMatching(/^[a-zA-Z0-9_.@"\\]{1,15}$/);

const reservation: fc.Arbitrary<Reservation> = fc.record(
  {
    containerId,
    ifname,
    address: fc.ipV4(),
    identity: fc.stringMatching(/^\d{1,9}:\d{1,19}$/),
    bootId: fc.uuid(),
    netns: fc.string(),
  },
  { requiredKeys: ['containerId', 'ifname', 'address', 'identity', 'bootId'] },
);

test('the owner in a reservation file is what was written', () => {
  fc.assert(
    fc.property(containerId, ifname, (id, name) => {
      expect(parseOwner(ownerText({ containerId: id, ifname: name }))).toEqual({
        containerId: id,
        ifname: name,
      });
    }),
  );
});

test.each([
  ['abc\r\neth0', { containerId: 'abc', ifname: 'eth0' }],
  ['abc\r\neth0\n', { containerId: 'abc', ifname: 'eth0' }],
  ['abc', { containerId: 'abc', ifname: '' }],
  ['abc\n', { containerId: 'abc', ifname: '' }],
  ['', undefined],
  [' \r\n', undefined],
  ['\0\0\0\0', undefined],
  ['abc\neth0', undefined],
  ['abc\r\neth0\r\nmore', undefined],
  ['two words', undefined],
])('%j names %j', (text, owner) => {
  expect(parseOwner(text)).toEqual(owner);
});

test('records survive being written, and an owner gets only its own', () => {
  fc.assert(
    fc.property(fc.array(reservation), (records) => {
      const text = records.map(formatRecord).join('');
      expect(parseRecords(text)).toEqual(records);
      for (const owner of records) {
        expect(recordsOf(text, owner)).toEqual(
          records.filter((one) => one.containerId === owner.containerId && one.ifname === owner.ifname),
        );
      }
    }),
  );
});

test('a text cut anywhere yields only whole records', () => {
  fc.assert(
    fc.property(fc.array(reservation, { maxLength: 4 }), fc.nat(), fc.nat(), (records, from, to) => {
      const text = records.map(formatRecord).join('');
      const part = text.slice(from % (text.length + 1), to % (text.length + 1));
      for (const record of parseRecords(part)) expect(records).toContainEqual(record);
    }),
  );
});
