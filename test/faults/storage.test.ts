import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { call, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { podwireBin } from '../support/binaries.ts';
import { systemPath } from '../support/process.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';

const plugins = ['host-local', 'bridge', 'veth'] as const;
const reserved = '/var/lib/cni';
const records = '/run/podwire';

let host: TestHost;
let before: Snapshot;
beforeEach(async () => {
  host = await createPluginHost('storage');
  await host.addPod('pod');
  // Small ones of their own, to be filled; 32 KiB hold what the plugins keep of a few pods.
  await host.shell(`for d in ${reserved} ${records}; do mount -t tmpfs -o size=128k,mode=755 small $d; done`);
  before = await snapshot(host);
});
afterEach(() => host.dispose());

const kept = [/ cni0( |$)/, /filler/];
const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);

const fill = (directory: string): Promise<string> =>
  host.shell(`cat /dev/zero >${directory}/filler 2>/dev/null || true`);
const empty = (directory: string): Promise<string> => host.exec(['rm', '-f', `${directory}/filler`]);

const life = async (plugin: string, containerId: string): Promise<void> => {
  expectSilent(await call(host, { plugin, containerId }));
  expectSilent(await call(host, { plugin, containerId, command: 'DEL' }));
};

describe('a full disk', () => {
  test.each(plugins)(
    '%s: ADD is refused with code 5, DEL works, and then all is as before',
    async (plugin) => {
      const directories = plugin === 'host-local' ? [reserved] : [reserved, records];
      for (const directory of directories) {
        // Once on a node that never had a pod, once on one that has.
        for (const first of [true, false]) {
          if (!first) expectSilent(await call(host, { plugin, containerId: 'earlier', ifname: 'early' }));
          await fill(directory);
          const outcome = await call(host, { plugin, containerId: 'late' });
          expectError(outcome, 5, directory);
          if (!first)
            expectSilent(
              await call(host, { plugin, containerId: 'earlier', ifname: 'early', command: 'DEL' }),
            );
          expectSilent(await call(host, { plugin, containerId: 'late', command: 'DEL' }));
          await empty(directory);
          await nothingLeft();
        }
        await life(plugin, 'afterwards');
        await nothingLeft();
      }
    },
  );

  test('STATUS of host-local says 50', async () => {
    await life('host-local', 'first');
    await fill(reserved);
    expectError(await call(host, { plugin: 'host-local', command: 'STATUS' }), 50);
    expectError(
      await call(host, {
        plugin: 'bridge',
        command: 'STATUS',
        config: { ...networks.bridge, name: 'addresses' },
      }),
      50,
    );
    await empty(reserved);
    expectSilent(await call(host, { plugin: 'host-local', command: 'STATUS' }));
  });

  test('GC frees on a full disk', async () => {
    for (const containerId of ['a', 'b', 'c'])
      expectSilent(await call(host, { plugin: 'host-local', containerId }));
    await fill(reserved);
    const config = {
      ...networks['host-local'],
      'cni.dev/valid-attachments': [{ containerID: 'b', ifname: 'eth0' }],
    };
    expectSilent(await call(host, { plugin: 'host-local', command: 'GC', config }));
    await empty(reserved);
    expect(
      (await host.shell(`grep -l . ${reserved}/networks/addresses/10.*`)).trim().split('\n'),
    ).toHaveLength(1);
    expectSilent(await call(host, { plugin: 'host-local', containerId: 'b', command: 'DEL' }));
    await nothingLeft();
  });

  test('without room for another file, ADD is refused with code 5', async () => {
    await host.shell(
      `mount -t tmpfs -o nr_inodes=6,mode=755 small ${reserved}; touch ${reserved}/filler $(seq -f ${reserved}/filler%g 9) || true`,
    );
    for (const plugin of plugins) expectError(await call(host, { plugin }), 5);
    await host.shell(`umount ${reserved}`);
    await nothingLeft();
  });
});

describe('a read-only file system', () => {
  test.each(plugins)(
    '%s: ADD and DEL of what is there are refused with code 5, and work later',
    async (plugin) => {
      const directories = plugin === 'host-local' ? [reserved] : [reserved, records];
      for (const directory of directories) {
        const container = { plugin, containerId: 'there', ifname: 'there' };
        expectSilent(await call(host, container));
        await host.shell(`mount -o remount,ro ${directory}`);
        expectError(await call(host, { plugin, containerId: 'other' }), 5);
        expectError(await call(host, { ...container, command: 'DEL' }), 5);
        await host.shell(`mount -o remount,rw ${directory}`);
        expectSilent(await call(host, { ...container, command: 'DEL' }));
        await nothingLeft();
        await life(plugin, 'afterwards');
      }
    },
  );

  test('STATUS of host-local says 50', async () => {
    await host.shell(`mount -o remount,ro ${reserved}`);
    expectError(await call(host, { plugin: 'host-local', command: 'STATUS' }), 50);
  });
});

describe('a place that is something else', () => {
  test('a file where a directory is needed is refused with code 5', async () => {
    await host.shell(`: >${reserved}/networks; : >${records}/attachments; : >${records}/locks`);
    before = await snapshot(host);
    for (const plugin of plugins) expectError(await call(host, { plugin }), 5);
    await host.shell(`rm ${reserved}/networks`);
    before = await snapshot(host);
    for (const plugin of ['bridge', 'veth']) expectError(await call(host, { plugin }), 5);
    await nothingLeft();
  });

  test('a directory where an address should be counts as taken', async () => {
    await host.shell(
      `mkdir -p ${reserved}/networks/addresses/10.32.0.2; mkfifo ${reserved}/networks/addresses/10.32.0.3`,
    );
    const added = await call(host, { plugin: 'host-local', containerId: 'next' });
    expect(added.result?.ips?.[0]?.address).toBe('10.32.0.4/16');
    expectSilent(await call(host, { plugin: 'host-local', containerId: 'next', command: 'DEL' }));
  });
});

test('a limit on the size of files is refused with code 5, or ends the call with nothing left', async () => {
  for (const plugin of ['host-local', 'bridge'] as const) {
    const env = {
      PATH: systemPath,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'limited',
      CNI_NETNS: '/run/netns/pod',
      CNI_IFNAME: 'eth0',
      CNI_PATH: podwireBin,
    };
    const limited = ['prlimit', '--fsize=0', '--core=0', `${podwireBin}/${plugin}`];
    const outcome = await host.attempt(limited, { env, stdin: JSON.stringify(networks[plugin]) });
    if (outcome.signal === undefined) expect(JSON.parse(outcome.stdout)).toMatchObject({ code: 5 });
    else expect(outcome.signal).toBe('SIGXFSZ');
    expectSilent(await call(host, { plugin, containerId: 'limited', command: 'DEL' }));
    await nothingLeft();
  }
});
