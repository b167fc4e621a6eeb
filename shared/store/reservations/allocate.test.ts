import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatAddress, parseAddress } from '../../kernel/address-math.ts';
import { allocate, canAllocate } from './allocate.ts';
import { type Place, placeOf } from './files.ts';
import type { AddressSet } from './spans.ts';
import { type ReservationStore, withReservations } from './store.ts';

let root: string;
let place: Place;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'podwire-allocate-'));
  place = placeOf(root, 'net');
});
afterEach(() => rmSync(root, { recursive: true }));

const address = (text: string) => {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};
const setOf = (id: number, first: string, last: string, more: Partial<AddressSet> = {}): AddressSet => ({
  id,
  spans: [{ family: address(first).family, first: address(first).value, last: address(last).value }],
  excluded: [],
  ...more,
});
const gone = '/run/netns/gone-for-good';
const eth0 = (containerId: string) => ({ containerId, ifname: 'eth0' });
const inBoot = <T>(bootId: string, body: (store: ReservationStore) => T) =>
  withReservations(place, body, { bootId });
const add = (id: string, sets: AddressSet[], { netns = gone, boot = 'boot-1' } = {}) =>
  inBoot(boot, (store) => allocate(store, eth0(id), netns, sets).map(formatAddress));
const remove = (id: string) =>
  inBoot('boot-1', (store) => {
    for (const reservation of store.ownedBy(eth0(id))) store.release(reservation);
  });
const files = () =>
  (existsSync(place.directory) ? readdirSync(place.directory) : [])
    .filter((name) => /^[\da-f.:]+$/.test(name))
    .sort();

test('addresses go round robin, past the excluded ones, and wrap', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.4', { excluded: [address('10.1.0.1'), address('10.1.0.3')] });
  expect(await add('a', [set])).toEqual(['10.1.0.2']);
  expect(await add('b', [set])).toEqual(['10.1.0.4']);
  await remove('a');
  expect(await add('c', [set])).toEqual(['10.1.0.2']);
  await remove('b');
  await remove('c');
  expect(await add('d', [set])).toEqual(['10.1.0.4']);
  expect(readFileSync(join(place.directory, 'last_reserved_ip.0'), 'utf8')).toBe('10.1.0.4');
});

test.each(['garbage', '', '10.9.9.9', '10.1.0.2\n', 'fd00::1'])(
  'a pointer %j means: from the start',
  async (text) => {
    mkdirSync(place.directory);
    writeFileSync(join(place.directory, 'last_reserved_ip.0'), text);
    expect(await add('a', [setOf(0, '10.1.0.1', '10.1.0.4')])).toEqual(['10.1.0.1']);
    expect(readFileSync(join(place.directory, 'last_reserved_ip.0'), 'utf8')).toBe('10.1.0.1');
  },
);

test('a repeated ADD gets the same addresses and moves no pointer', async () => {
  const sets = [setOf(0, '10.1.0.1', '10.1.0.9'), setOf(1, 'fd00::1', 'fd00::ffff:ffff:ffff')];
  const first = await add('a', sets);
  await add('b', sets);
  expect(await add('a', sets)).toEqual(first);
  expect(await add('a', [...sets].reverse())).toEqual([...first].reverse());
  expect(await add('c', sets)).toEqual(['10.1.0.3', 'fd00::3']);
});

test('a requested address is given, also again; a taken one is refused with its holder', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.9', { requested: address('10.1.0.7') });
  expect(await add('a', [set])).toEqual(['10.1.0.7']);
  expect(await add('a', [set])).toEqual(['10.1.0.7']);
  await expect(add('b', [set])).rejects.toMatchObject({
    code: 102,
    message: 'requested address 10.1.0.7 is taken by container a eth0',
  });
  expect(await add('b', [setOf(0, '10.1.0.1', '10.1.0.9')])).toEqual(['10.1.0.8']);
});

test('the exhaustion error names range, size, use, the oldest holders and nameless files', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.4', { excluded: [address('10.1.0.1')] });
  await add('first', [set]);
  await add('second', [set]);
  writeFileSync(join(place.directory, '10.1.0.4'), '');
  await expect(add('third', [set])).rejects.toMatchObject({
    code: 102,
    message: 'no free address in range 10.1.0.1-10.1.0.4: 3 of 3 in use, 0 of them possibly stale',
    details: expect.stringMatching(
      /Oldest holders: 10\.1\.0\.2 by first eth0 since \d{4}-.*; 10\.1\.0\.3 by second eth0 .*1 files name no container/,
    ),
  });
  expect(await inBoot('boot-1', (store) => canAllocate(store, set))).toBe(false);
});

test('what an ADD took is free again when a later set fails', async () => {
  const full = setOf(1, 'fd00::1', 'fd00::1');
  await add('holder', [full]);
  await expect(add('a', [setOf(0, '10.1.0.1', '10.1.0.9'), full])).rejects.toMatchObject({ code: 102 });
  expect(files()).toEqual(['fd00::1']);
  const owned = await inBoot('boot-1', (store) => store.ownedBy(eth0('a')));
  expect(owned).toEqual([]);
});

test('what an ADD took is free again when the pointer cannot be written', async () => {
  mkdirSync(join(place.directory, 'last_reserved_ip.0'), { recursive: true });
  await expect(add('a', [setOf(0, '10.1.0.1', '10.1.0.9')])).rejects.toMatchObject({ code: 5 });
  expect(files()).toEqual([]);
});

test('a failed repeat keeps what the attachment held before', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.9');
  const full = setOf(1, 'fd00::1', 'fd00::1');
  await add('a', [set]);
  await add('holder', [full]);
  await expect(add('a', [set, full])).rejects.toMatchObject({ code: 102 });
  expect(files()).toEqual(['10.1.0.1', 'fd00::1']);
});

test('leaks of an earlier boot are reclaimed when the range is exhausted, and not before', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.3');
  await add('a', [set]);
  await add('b', [set], { netns: '/proc/self/ns/net' });
  expect(await add('c', [set], { boot: 'boot-2' })).toEqual(['10.1.0.3']);
  expect(files()).toHaveLength(3);
  expect(await inBoot('boot-2', (store) => canAllocate(store, set))).toBe(true);
  expect(await add('d', [set], { boot: 'boot-2' })).toEqual(['10.1.0.1']);
  await expect(add('e', [set], { boot: 'boot-2' })).rejects.toMatchObject({
    message: expect.stringContaining('3 of 3 in use, 1 of them possibly stale'),
    details: expect.stringContaining('1 date from before the last reboot'),
  });
  expect(await inBoot('boot-2', (store) => canAllocate(store, set))).toBe(false);
});

test('leaks in other ranges stay, and within one boot nothing is reclaimed', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.1');
  await add('a', [set]);
  await add('b', [setOf(1, '10.2.0.1', '10.2.0.1')]);
  await expect(add('c', [set])).rejects.toMatchObject({ code: 102 });
  expect(await add('c', [set], { boot: 'boot-2' })).toEqual(['10.1.0.1']);
  expect(files()).toEqual(['10.1.0.1', '10.2.0.1']);
});

test('a requested address that is a leak is reclaimed at once', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.9', { requested: address('10.1.0.7') });
  await add('a', [set]);
  await expect(add('b', [set])).rejects.toMatchObject({ code: 102 });
  expect(await add('b', [set], { boot: 'boot-2' })).toEqual(['10.1.0.7']);
  expect(readFileSync(join(place.directory, '10.1.0.7'), 'latin1')).toBe('b\r\neth0');
});

test('a container that comes back after a reboot keeps its address, which is no leak then', async () => {
  const set = setOf(0, '10.1.0.1', '10.1.0.1');
  await add('a', [set]);
  expect(await add('a', [set], { boot: 'boot-2' })).toEqual(['10.1.0.1']);
  await expect(add('b', [set], { boot: 'boot-2' })).rejects.toMatchObject({ code: 102 });
});

test('a directory that is a file is an I/O error', async () => {
  writeFileSync(join(root, 'net'), '');
  await expect(add('a', [setOf(0, '10.1.0.1', '10.1.0.9')])).rejects.toMatchObject({ code: 5 });
});

test('against a simple model: ADDs and DELs in any order never share an address', async () => {
  const action = fc.record({ id: fc.integer({ min: 0, max: 5 }), isAdd: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
      rmSync(root, { recursive: true });
      mkdirSync(root);
      const set = setOf(0, '10.1.0.1', '10.1.0.4');
      const model = new Map<string, string>();
      for (const { id, isAdd } of actions) {
        const name = `c${id}`;
        if (!isAdd) {
          await remove(name);
          model.delete(name);
        } else if (model.size === 4 && !model.has(name)) {
          await expect(add(name, [set])).rejects.toMatchObject({ code: 102 });
        } else {
          const [given = ''] = await add(name, [set]);
          expect(model.get(name) ?? given).toBe(given);
          model.set(name, given);
        }
        expect(files()).toEqual([...model.values()].sort());
      }
    }),
    { numRuns: 30 },
  );
});
