import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type AttachmentRecord,
  listAttachments,
  listCompletedSince,
  readAttachment,
  removeAttachment,
  removeOtherAttachments,
  saveAttachment,
} from './attachments.ts';

let root: string;
beforeEach(() => {
  root = join(mkdtempSync(join(tmpdir(), 'podwire-attachments-')), 'attachments');
});
afterEach(() => rmSync(join(root, '..'), { recursive: true }));

const record = (containerId: string, ifname: string, more: object = {}): AttachmentRecord => ({
  version: 1,
  plugin: 'bridge',
  network: 'net',
  containerId,
  ifname,
  netns: '/run/netns/x',
  addresses: [{ address: '10.1.0.5', subnet: '10.1.0.0/16' }],
  ...more,
});

test('a record comes back as it was saved, unknown keys included, until it is removed', () => {
  const saved = record('c1', 'eth0', { hostInterface: 'veth0', filter: 'nftables', ports: [{ host: 80 }] });
  saveAttachment(saved, root);
  expect(readAttachment('net', 'c1', 'eth0', root)).toEqual(saved);
  expect(readdirSync(join(root, 'net'))).toEqual(['c1.eth0']);
  removeAttachment('net', 'c1', 'eth0', root);
  removeAttachment('net', 'c1', 'eth0', root);
  expect(readAttachment('net', 'c1', 'eth0', root)).toBeUndefined();
  expect(readdirSync(join(root, 'net'))).toEqual([]);
});

test('the attachments of ADDs that succeeded since a moment', () => {
  const began = 1_700_000_000_000;
  const ages = { early: -1, same: 0, late: 1, future: 10_000_000_000_000 };
  for (const [name, ms] of Object.entries(ages)) {
    for (const complete of [true, undefined]) {
      const ifname = complete ? 'eth0' : 'eth1';
      saveAttachment(record(name, ifname, complete ? { complete } : {}), root);
      const at = (began + ms) / 1000;
      utimesSync(join(root, 'net', `${name}.${ifname}`), at, at);
    }
  }
  const found = listCompletedSince('net', began, root).map(({ containerId, ifname }) => [
    containerId,
    ifname,
  ]);
  expect(found.sort()).toEqual([
    ['late', 'eth0'],
    ['same', 'eth0'],
  ]);
  expect(listCompletedSince('none', began, root)).toEqual([]);
});

test('only root can read it', () => {
  saveAttachment(record('c1', 'eth0'), root);
  const modes = [root, join(root, 'net'), join(root, 'net', 'c1.eth0')].map(
    (path) => statSync(path).mode & 0o777,
  );
  expect(modes).toEqual([0o700, 0o700, 0o600]);
});

test('any two attachments have records of their own', () => {
  const id = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}$/);
  const ifname = fc
    .stringMatching(/^[a-zA-Z0-9_.@%=\\-]{1,15}$/)
    .filter((name) => name !== '.' && name !== '..');
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(id, ifname), { maxLength: 8, selector: String }), (attachments) => {
      rmSync(root, { recursive: true, force: true });
      const records = attachments.map(([containerId, name]) => record(containerId, name));
      for (const one of records) saveAttachment(one, root);
      for (const one of records)
        expect(readAttachment('net', one.containerId, one.ifname, root)).toEqual(one);
      expect(listAttachments('net', root)).toHaveLength(records.length);
    }),
    { numRuns: 50 },
  );
});

test('names that could be read in two ways, and very long ones, are kept apart', () => {
  const records = [
    record('a.b', 'c'),
    record('a', 'b.c'),
    record('x'.repeat(300), 'eth0'),
    record(`${'x'.repeat(299)}y`, 'eth0'),
  ];
  for (const one of records) saveAttachment(one, root);
  for (const one of records) expect(readAttachment('net', one.containerId, one.ifname, root)).toEqual(one);
  expect(listAttachments('net', root)).toHaveLength(4);
});

test('damaged records count as absent', () => {
  saveAttachment(record('c1', 'eth0'), root);
  for (const text of ['', '{', '[]', '{"version":2}', '{"version":1,"plugin":"bridge"}']) {
    writeFileSync(join(root, 'net', 'c1.eth0'), text);
    expect(readAttachment('net', 'c1', 'eth0', root)).toBeUndefined();
    expect(listAttachments('net', root)).toEqual([]);
  }
  expect(listAttachments('unknown', root)).toEqual([]);
});

test('a place that cannot be written is an I/O error and leaves nothing', () => {
  writeFileSync(root, 'a file where the directory should be');
  expect(() => saveAttachment(record('c1', 'eth0'), root)).toThrow(expect.objectContaining({ code: 5 }));
  rmSync(root);
  // A directory where the record should go: the rename fails after the temporary file was written.
  saveAttachment(record('c1', 'eth0'), join(root, 'net', 'c2.eth0'));
  expect(() => saveAttachment(record('c2', 'eth0'), root)).toThrow(expect.objectContaining({ code: 5 }));
  expect(readdirSync(join(root, 'net'))).toEqual(['c2.eth0']);
});

test('what a killed ADD was writing goes with the attachment', () => {
  saveAttachment(record('c1', 'eth0'), root);
  writeFileSync(join(root, 'net', '.c1.eth0'), '{"version"');
  expect(listAttachments('net', root)).toHaveLength(1);
  removeAttachment('net', 'c1', 'eth0', root);
  expect(readdirSync(join(root, 'net'))).toEqual([]);
});

test('all but the kept attachments of a network can be forgotten', () => {
  const long = 'x'.repeat(300);
  for (const id of ['c1', 'c2', long]) saveAttachment(record(id, 'eth0'), root);
  saveAttachment(record('c1', 'net1'), root);
  for (const name of ['.c1.eth0', '.c2.eth0', '.4711.new', 'damaged'])
    writeFileSync(join(root, 'net', name), '{');
  const kept = [long, 'c1', 'unknown'].map((containerID) => ({ containerID, ifname: 'eth0' }));
  removeOtherAttachments('net', kept, root);
  expect(
    listAttachments('net', root)
      .map(({ containerId, ifname }) => `${containerId} ${ifname}`)
      .sort(),
  ).toEqual(['c1 eth0', `${long} eth0`]);
  expect(readdirSync(join(root, 'net'))).toHaveLength(3);
  removeOtherAttachments('net', [], root);
  removeOtherAttachments('unknown', [], root);
  expect(readdirSync(join(root, 'net'))).toEqual([]);
});
