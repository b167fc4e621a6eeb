import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseAddress } from '../../kernel/address-math.ts';
import { type Place, placeOf } from './files.ts';
import { type ReservationStore, withReservations } from './store.ts';

let root: string;
let place: Place;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'podwire-store-'));
  place = placeOf(root, 'net');
});
afterEach(() => rmSync(root, { recursive: true }));

const eth0 = (containerId: string) => ({ containerId, ifname: 'eth0' });
const inBoot = <T>(bootId: string, body: (store: ReservationStore) => T) =>
  withReservations(place, body, { bootId });
const use = <T>(body: (store: ReservationStore) => T) => inBoot('boot-1', body);
const file = (name: string) => join(place.directory, name);
const held = (id: string) => use((store) => store.ownedBy(eth0(id)).map(({ address }) => address));
const span = (first: string, last: string) => ({
  family: 4 as const,
  first: parseAddress(first)?.value ?? 0n,
  last: parseAddress(last)?.value ?? 0n,
});

/** True when the next call trusts the index, which then holds what the scan would not show: a planted record. */
const isTrusted = async () => {
  const shards = join(place.indexDirectory, 'owners');
  mkdirSync(shards, { recursive: true });
  const before = readdirSync(shards).map((name) => [name, readFileSync(join(shards, name), 'utf8')] as const);
  const line = '{"containerId":"planted","ifname":"x","address":"9.9.9.9","identity":"0:0","bootId":"b"}\n';
  for (const [name, text] of before) writeFileSync(join(shards, name), text + line);
  const trusted = await use((store) => store.all().some(({ containerId }) => containerId === 'planted'));
  if (trusted) for (const [name, text] of before) writeFileSync(join(shards, name), text);
  return trusted;
};

test('a reservation is a file as the reference writes it', async () => {
  await use((store) => store.reserve(eth0('c1'), '/run/netns/a', '10.1.0.5'));
  expect(readFileSync(file('10.1.0.5'), 'latin1')).toBe('c1\r\neth0');
  expect(statSync(file('10.1.0.5')).mode & 0o777).toBe(0o600);
  expect(readdirSync(place.directory).sort()).toEqual(['10.1.0.5', 'lock']);
  expect(readdirSync(place.indexDirectory).sort()).toEqual(['owners', 'seal', 'used']);
  expect(await held('c1')).toEqual(['10.1.0.5']);
});

test('an address is given once', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  expect(await use((store) => store.reserve(eth0('c2'), '', '10.1.0.5'))).toBeUndefined();
  expect(readFileSync(file('10.1.0.5'), 'latin1')).toBe('c1\r\neth0');
});

test('the index is trusted after our own changes, and after calls that change nothing', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  expect(await isTrusted()).toBe(true);
  await use((store) => store.setPointer(0, '10.1.0.5'));
  expect(await isTrusted()).toBe(true);
  const [reservation] = await use((store) => store.ownedBy(eth0('c1')));
  await use((store) => reservation && store.release(reservation));
  expect(await held('c1')).toEqual([]);
  await use((store) => store.reserve(eth0('c2'), '', '10.1.0.6'));
  expect(await isTrusted()).toBe(true);
});

test('a change by another program right after ours is noticed, however coarse the clock', async () => {
  for (let round = 0; round < 50; round++) {
    await use((store) => store.reserve(eth0(`c${round}`), '', `10.1.0.${round}`));
    writeFileSync(file(`10.1.1.${round}`), `other${round}\r\neth0`);
    expect(await held(`other${round}`)).toEqual([`10.1.1.${round}`]);
    unlinkSync(file(`10.1.1.${round}`));
    expect(await held(`other${round}`)).toEqual([]);
  }
});

test('the directory is left with a time in the past, which no later change can repeat', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  expect(statSync(place.directory).mtimeMs).toBeLessThan(Date.now() - 1000);
  await use((store) => store.setPointer(0, '10.1.0.5'));
  expect(statSync(place.directory).mtimeMs).toBeLessThan(Date.now() - 1000);
});

test('an index of another boot is not trusted', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  await inBoot('boot-2', () => {});
  await use(() => {});
  await inBoot('boot-2', (store) => store.reserve(eth0('c2'), '', '10.1.0.6'));
  expect(await isTrusted()).toBe(false);
});

test.each([
  ['seal', (path: string) => writeFileSync(join(path, 'seal'), '{"format":1')],
  ['everything', (path: string) => rmSync(path, { recursive: true })],
  ['seal of a newer format', (path: string) => writeFileSync(join(path, 'seal'), '{"format":2}')],
])('a damaged index is rebuilt: %s', async (_, damage) => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  damage(place.indexDirectory);
  expect(await held('c1')).toEqual(['10.1.0.5']);
  expect(await isTrusted()).toBe(true);
});

test('an index that is sealed but wrong gives no address twice and finds the owner', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  for (const part of ['owners', 'used']) {
    for (const name of readdirSync(join(place.indexDirectory, part))) {
      writeFileSync(join(place.indexDirectory, part, name), '');
    }
  }
  await use((store) => {
    expect(store.firstFree(span('10.1.0.5', '10.1.0.6'))).toBe(span('10.1.0.5', '10.1.0.5').first);
    expect(store.reserve(eth0('c2'), '', '10.1.0.5')).toBeUndefined();
    expect(store.firstFree(span('10.1.0.5', '10.1.0.6'))).toBe(span('10.1.0.6', '10.1.0.6').first);
    expect(store.ownedBy(eth0('c1'))).toHaveLength(1);
  });
});

test.each([
  ['is a file', () => writeFileSync(join(root, '.podwire'), '')],
  [
    'has a file for a directory',
    () => {
      mkdirSync(place.indexDirectory, { recursive: true });
      writeFileSync(join(place.indexDirectory, 'owners'), '');
    },
  ],
  [
    'has directories for files',
    () => mkdirSync(join(place.indexDirectory, 'seal', 'x'), { recursive: true }),
  ],
  ["can't hold the template", () => mkdirSync(join(place.indexDirectory, 'new', 'x'), { recursive: true })],
])('all goes on when the index directory %s', async (_, spoil) => {
  spoil();
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  await use((store) => {
    expect(store.reserve(eth0('c2'), '', '10.1.0.5')).toBeUndefined();
    expect(store.firstFree(span('10.1.0.5', '10.1.0.9'))).toBe(span('10.1.0.6', '10.1.0.6').first);
    expect(store.reserve(eth0('c2'), '', '10.1.0.6')?.address).toBe('10.1.0.6');
  });
  expect(readFileSync(file('10.1.0.6'), 'latin1')).toBe('c2\r\neth0');
  const [reservation] = await use((store) => store.ownedBy(eth0('c1')));
  await use((store) => reservation && store.release(reservation));
  expect(await held('c1')).toEqual([]);
  expect(await held('c2')).toEqual(['10.1.0.6']);
  expect(existsSync(file('10.1.0.5'))).toBe(false);
});

test('a template left by a killed call, linked to a living reservation, is not written into', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  linkSync(file('10.1.0.5'), join(place.indexDirectory, 'new'));
  await use((store) => store.reserve(eth0('c2'), '', '10.1.0.6'));
  expect(readFileSync(file('10.1.0.5'), 'latin1')).toBe('c1\r\neth0');
  expect(readFileSync(file('10.1.0.6'), 'latin1')).toBe('c2\r\neth0');
});

test('a call killed before it sealed is made good by the next', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  await use((store) => {
    store.reserve(eth0('c2'), '', '10.1.0.6');
    store.close = () => {};
  });
  expect(await held('c2')).toEqual(['10.1.0.6']);
});

test('files that name nobody, directories and dangling links are used addresses', async () => {
  mkdirSync(place.directory);
  writeFileSync(file('10.1.0.1'), '');
  writeFileSync(file('10.1.0.2'), '\0\0\0');
  mkdirSync(file('10.1.0.3'));
  symlinkSync('nowhere', file('10.1.0.4'));
  writeFileSync(file('10.1.0.05'), 'c1\r\neth0');
  await use((store) => {
    expect(store.firstFree(span('10.1.0.1', '10.1.0.3'))).toBeUndefined();
    expect(store.reserve(eth0('c1'), '', '10.1.0.4')).toBeUndefined();
    expect(store.all()).toEqual([]);
    expect(store.holderOf('10.1.0.1')).toEqual(expect.objectContaining({ owner: undefined }));
    expect(store.holderOf('10.1.0.9')).toBeUndefined();
  });
});

test('after a reboot only reservations whose netns is gone are stale', async () => {
  await use((store) => {
    store.reserve(eth0('gone'), '/run/netns/gone-for-good', '10.1.0.5');
    store.reserve(eth0('there'), '/proc/self/ns/net', '10.1.0.6');
  });
  const staleIn = (boot: string) =>
    inBoot(boot, (store) => store.stale(() => true).map(({ containerId }) => containerId));
  expect(await staleIn('boot-1')).toEqual([]);
  expect(await staleIn('boot-2')).toEqual(['gone']);
  expect(await staleIn('')).toEqual([]);
});

test('a file of another program is stale once a later boot finds the very same file', async () => {
  mkdirSync(place.directory);
  for (const name of ['10.1.0.5', '10.1.0.6', '10.1.0.7']) writeFileSync(file(name), 'other\r\neth0');
  await use(() => {});
  expect(await use((store) => store.stale(() => true))).toEqual([]);
  // The second one is made anew by the other program after the reboot, the third one is only touched.
  unlinkSync(file('10.1.0.6'));
  writeFileSync(file('10.1.0.6'), 'other\r\neth0');
  utimesSync(file('10.1.0.7'), 1, 1);
  const stale = await inBoot('boot-2', (store) => store.stale(() => true).map(({ address }) => address));
  expect(stale).toEqual(['10.1.0.5']);
  const later = await inBoot('boot-3', (store) => store.stale(() => true).map(({ address }) => address));
  expect(later.sort()).toEqual(['10.1.0.5', '10.1.0.6', '10.1.0.7']);
});

test('our reservation that another program freed and made again for the same owner is not stale', async () => {
  await use((store) => store.reserve(eth0('c1'), '/run/netns/gone-for-good', '10.1.0.5'));
  unlinkSync(file('10.1.0.5'));
  await inBoot('boot-2', () => {});
  writeFileSync(file('10.1.0.5'), 'c1\r\neth0');
  expect(await inBoot('boot-2', (store) => store.stale(() => true))).toEqual([]);
});

test('a reservation renewed after a reboot is of the new boot, whether or not the index can tell', async () => {
  const renew = (store: ReservationStore) => {
    for (const reservation of store.ownedBy(eth0('c1'))) store.renew(reservation, '/run/netns/gone-for-good');
  };
  await use((store) => store.reserve(eth0('c1'), '/run/netns/gone-for-good', '10.1.0.5'));
  await inBoot('boot-2', renew);
  expect(await inBoot('boot-2', (store) => store.stale(() => true))).toEqual([]);
  expect(await inBoot('boot-2', (store) => store.ownedBy(eth0('c1')))).toHaveLength(1);
  await inBoot('boot-3', (store) => {
    renew(store);
    store.close = () => {};
  });
  expect(await inBoot('boot-3', (store) => store.stale(() => true))).toEqual([]);
});

test('while a renewal is under way the index counts as untrue', async () => {
  await use((store) => store.reserve(eth0('c1'), '', '10.1.0.5'));
  const seal = join(place.indexDirectory, 'seal');
  await inBoot('boot-2', () => {});
  expect(existsSync(seal)).toBe(true);
  await inBoot('boot-2', (store) => {
    for (const reservation of store.ownedBy(eth0('c1'))) store.renew(reservation, '');
    expect(existsSync(seal)).toBe(false);
  });
  expect(existsSync(seal)).toBe(true);
});

test('a file that was replaced behind the index is not stale, although the directory looks unchanged', async () => {
  await use((store) => store.reserve(eth0('c1'), '/run/netns/gone-for-good', '10.1.0.5'));
  await inBoot('boot-2', (store) => {
    expect(store.stale(() => true)).toHaveLength(1);
    utimesSync(file('10.1.0.5'), 1, 1);
    expect(store.stale(() => true)).toEqual([]);
  });
});

test('a sweep frees the unwanted, keeps the rest and goes on after errors', async () => {
  await use((store) => {
    for (const last of [1, 2, 3, 4]) store.reserve(eth0(`c${last}`), '', `10.1.0.${last}`);
  });
  writeFileSync(file('10.1.0.9'), '');
  const errors = await use((store) => store.sweep(({ containerId }) => containerId === 'c2'));
  expect(errors).toEqual([]);
  expect(readdirSync(place.directory).sort()).toEqual(['10.1.0.2', '10.1.0.9', 'lock']);
  expect(await isTrusted()).toBe(true);
});
