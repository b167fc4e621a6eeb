import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { reservations } from '../plugins/kernel-state.ts';
import { call, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { expectResult, type PrintedResult } from '../support/call-plugin.ts';
import type { TestHost } from '../support/test-host.ts';
import { repair } from './repair-call.ts';

const directory = '/var/lib/cni/networks/addresses';
const index = '/var/lib/cni/networks/.podwire/addresses';
const records = '/run/podwire/attachments/pods';

let host: TestHost;
beforeAll(async () => {
  host = await createPluginHost('storage-state');
  await host.addPod('one');
  await host.addPod('two');
});
afterEach(() => host.shell('rm -rf /var/lib/cni/networks /run/podwire/*'));
afterAll(() => host?.dispose());

type PluginUnderTest = 'host-local' | 'bridge';

const attach = async (name: string, plugin: PluginUnderTest = 'host-local'): Promise<PrintedResult> =>
  expectResult(await call(host, { plugin, containerId: name, netns: `/run/netns/${name}` }));
const add = async (name: string): Promise<string> =>
  (await attach(name)).ips?.[0]?.address?.replace(/\/.*/, '') ?? '';
const del = (name: string, prevResult?: PrintedResult, plugin: PluginUnderTest = 'host-local') => {
  const container = { plugin, containerId: name, netns: `/run/netns/${name}` };
  return call(host, { ...container, command: 'DEL', config: { ...networks[plugin], prevResult } });
};
const gc = (valid: string[], plugin: PluginUnderTest = 'host-local') => {
  const attachments = valid.map((containerID) => ({ containerID, ifname: 'eth0' }));
  const config = { ...networks[plugin], 'cni.dev/valid-attachments': attachments };
  return call(host, { plugin, command: 'GC', config });
};
const shows = (script: string): Promise<string> => host.shell(script);

/** Ways in which a file (`$f`) is no longer what was written. */
const spoilers = {
  emptied: ': >$f',
  // Of a reservation, that is what reference versions before 0.8 wrote.
  'cut behind the name': 'head -c 5 $f >/run/part; cp /run/part $f',
  binary: 'head -c 3000 /dev/urandom >$f',
  'full of NULs': 'truncate -s 0 $f; truncate -s 200 $f',
  'someone else’s text': 'printf "stranger\\r\\neth0" >$f',
  'a directory': 'rm $f; mkdir $f; : >$f/inside',
  'a dangling link': 'rm $f; ln -s nowhere $f',
  'a fifo': 'rm $f; mkfifo $f',
  'nobody’s, without permissions': 'chown 65534:65534 $f; chmod 0 $f',
} as const;
type Spoiler = keyof typeof spoilers;
const ways = Object.keys(spoilers) as Spoiler[];
const spoil = (file: string, way: Spoiler): Promise<string> => shows(`f=${file}; ${spoilers[way]}`);

describe('a reservation that is', () => {
  test.each(ways)(
    '%s: its address is not given again, its pod can go, others are not touched',
    async (way) => {
      const [one, two] = [await add('one'), await add('two')];
      await spoil(`${directory}/${one}`, way);
      expect([one, two]).not.toContain(await add('three'));
      expectSilent(await del('one'));
      expectSilent(await gc(['two', 'three']));
      // What names nobody stays, as nothing tells whose it is; what names its pod is freed.
      const left = await reservations(host, 'addresses');
      const isFreed = [
        'nobody’s, without permissions',
        'someone else’s text',
        'cut behind the name',
      ].includes(way);
      expect(left.includes(one)).toBe(!isFreed);
      expect(left).toContain(two);
      await shows(`rm -rf ${directory}/${one}`);
      expectSilent(await del('two'));
      expectSilent(await del('three'));
      expect(await reservations(host, 'addresses')).toEqual([]);
    },
  );
});

describe('a file of the index that is', () => {
  test.each(ways)('%s: it is made anew, and no address is given twice or lost', async (way) => {
    for (const file of ['seal', 'owners/*', 'used/*']) {
      const one = await attach('one');
      const names = (await shows(`ls -d ${index}/${file}`)).trim().split('\n');
      for (const name of names) await spoil(name, way);
      const two = await attach('two');
      expect({ file, address: two.ips }).not.toEqual({ file, address: one.ips });
      expectSilent(await del('one', one));
      expectSilent(await del('two', two));
      expect({ file, left: await reservations(host, 'addresses') }).toEqual({ file, left: [] });
      await shows(`rm -rf ${index}`);
    }
  });
});

describe('last_reserved_ip that is', () => {
  test.each(ways)('%s: ADD gives a free address or names the file, DEL works', async (way) => {
    const one = await add('one');
    await spoil(`${directory}/last_reserved_ip.0`, way);
    const outcome = await call(host, { plugin: 'host-local', containerId: 'two' });
    if (outcome.exitCode === 0) expect(outcome.result?.ips?.[0]?.address).not.toContain(`${one}/`);
    else expectError(outcome, 5, 'last_reserved_ip.0');
    for (const name of ['one', 'two']) expectSilent(await del(name));
    expect(await reservations(host, 'addresses')).toEqual([]);
  });
});

describe('the lock that is', () => {
  test.each(ways)('%s: it locks, or is an error that names it, and nothing is left', async (way) => {
    await add('one');
    await spoil(`${directory}/lock`, way);
    const outcome = await call(host, { plugin: 'host-local', containerId: 'two' });
    if (outcome.exitCode === 0) {
      expectSilent(await del('two'));
      expectSilent(await del('one'));
    } else {
      expectError(outcome, 5, `${directory}/lock`);
      await shows(`rm -rf ${directory}/lock`);
      for (const name of ['one', 'two']) expectSilent(await del(name));
    }
    expect(await reservations(host, 'addresses')).toEqual([]);
  });
});

describe('an attachment’s record that is', () => {
  test.each(ways)('%s: CHECK, DEL and GC do without it, repair says so', async (way) => {
    const one = { plugin: 'bridge', containerId: 'one', netns: '/run/netns/one' };
    const prevResult = await attach('one', 'bridge');
    await attach('two', 'bridge');
    await spoil(`${records}/one.eth0`, way);
    const config = { ...networks.bridge, prevResult };
    expectSilent(await call(host, { ...one, command: 'CHECK', config }));
    const report = await repair(host);
    expect(report).toMatchObject({ exitCode: 0, repaired: [], failed: [] });
    if (way === 'nobody’s, without permissions')
      expect(report).toMatchObject({ attachments: 2, skipped: [] });
    else {
      expect(report.attachments).toBe(1);
      expect(report.skipped.map(({ what }) => what).join()).toContain(`${records}/one.eth0`);
    }
    const deleted = await del('one', undefined, 'bridge');
    // A directory is nothing that ADD can have made: everything else is gone, and the error names it.
    if (way === 'a directory') expectError(deleted, 5, `${records}/one.eth0`);
    else expectSilent(deleted);
    expect(await reservations(host, 'pods')).toHaveLength(1);
    expect((await shows('ip -o link show type veth')).trim().split('\n')).toHaveLength(1);
    expect(await shows('nft list map inet podwire_masquerade pods4')).not.toContain('one eth0');
    await shows(`rm -rf ${records}/one.eth0`);
    expectSilent(await gc([], 'bridge'));
    expect(await reservations(host, 'pods')).toEqual([]);
  });
});

test('foreign files in the directory are left alone', async () => {
  await add('one');
  await shows(`cd ${directory}
    echo notes >README; : >.hidden; : >10.32.0.9.bak; : >.10.32.0.2.swp; : >10.32.0.300; : >10.032.0.7
    mkdir subdirectory; : >subdirectory/10.32.0.8; ln -s /etc/hostname link; : >last_reserved_ip.0.tmp
    chown 65534 README; mkdir /var/lib/cni/networks/foreign; : >/var/lib/cni/networks/foreign/file`);
  const list = () =>
    shows(`cd /var/lib/cni/networks; find . -not -path './.podwire*' -not -name 'last_reserved_ip.0' | sort`);
  const before = await list();
  await add('two');
  await add('three');
  expectSilent(await del('two'));
  expectSilent(await gc(['one']));
  expect(await list()).toBe(before);
  expect(await shows(`cat ${directory}/README`)).toBe('notes\n');
});

test('directories of another owner and without permissions serve root all the same', async () => {
  const one = await attach('one', 'bridge');
  await shows('find /var/lib/cni /run/podwire -type d -exec chown 65534:65534 {} + -exec chmod 0 {} +');
  expect((await attach('two', 'bridge')).ips).not.toEqual(one.ips);
  expect(await repair(host)).toMatchObject({ exitCode: 0, attachments: 2, intact: 2 });
  for (const name of ['one', 'two']) expectSilent(await del(name, undefined, 'bridge'));
  expect(await reservations(host, 'pods')).toEqual([]);
});
