import { afterAll, beforeAll, expect, test } from 'vitest';
import { newContainerId } from '../support/call-plugin.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, layer2, networks } from './calls.ts';

const plugins = ['bridge', 'veth', 'loopback'] as const;

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('netns');
  await host.addPod('pod');
  await host.shell(`mkdir /run/x && cd /run/x
: >file; echo text >text; mkfifo fifo; ln -s loop loop; ln -s missing dangling; mkdir directory; : >no-access; chmod 0 no-access
ln -s /run/netns/pod link`);
  before = await snapshot(host);
});
afterAll(() => host.dispose());

const noNetns = [
  '/run/netns/missing',
  '/run/x/missing/deeper',
  '/run/x/file/below',
  '/run/x/file',
  '/run/x/text',
  '/run/x/directory',
  '/run/x/fifo',
  '/run/x/loop',
  '/run/x/dangling',
  '/run/x/no-access',
  '/dev/null',
  '/dev/zero',
  '/proc/self/ns/mnt',
  '/proc/self/ns/pid',
  '/proc/self/exe',
  '/proc/999999999/ns/net',
  '/sys/class/net',
  'relative/path',
  '.',
  ' ',
  '$(id)',
  '/run/netns/pod\nx',
  `/${'x'.repeat(300)}`,
];

test('what is no network namespace is refused with code 8, by its path', async () => {
  const rows = plugins.flatMap((plugin) =>
    ['ADD', 'CHECK'].flatMap((command) => noNetns.map((netns) => ({ plugin, command, netns }))),
  );
  await forAll(
    rows,
    ({ plugin, command, netns }) => `${plugin} ${command} ${netns.slice(0, 60)}`,
    async ({ plugin, command, netns }) => {
      const config = { ...networks[plugin], prevResult: { cniVersion: '1.1.0' } };
      const error = expectError(await call(host, { plugin, command, netns, config }), 8, 'CNI_NETNS');
      expect(error.msg).toContain(JSON.stringify(netns).slice(0, 60));
    },
  );
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);
});

test('to DEL it is a container that is gone', async () => {
  await forAll(
    plugins.flatMap((plugin) => noNetns.map((netns) => ({ plugin, netns }))),
    ({ plugin, netns }) => `${plugin} ${netns.slice(0, 60)}`,
    async ({ plugin, netns }) => expectSilent(await call(host, { plugin, netns, command: 'DEL' })),
  );
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);
});

test("the plugin's own is refused with code 8, whatever path leads there", async () => {
  const own = ['/proc/self/ns/net', '/proc/thread-self/ns/net', '/run/x/self'];
  await host.shell('ln -sf /proc/self/ns/net /run/x/self');
  await forAll(
    plugins.flatMap((plugin) => own.map((netns) => ({ plugin, netns }))),
    ({ plugin, netns }) => `${plugin} ${netns}`,
    async (row) => {
      for (const override of [undefined, '', '0', 'false', 'no']) {
        const outcome = await call(host, { ...row, env: { CNI_NETNS_OVERRIDE: override } });
        expectError(outcome, 8, 'CNI_NETNS', row.netns);
      }
      expectSilent(await call(host, { ...row, command: 'DEL' }));
    },
  );
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);
});

test('with CNI_NETNS_OVERRIDE the own one is as good as any', async () => {
  for (const override of ['1', 'true']) {
    const env = { CNI_NETNS_OVERRIDE: override };
    const netns = '/proc/self/ns/net';
    const container = {
      plugin: 'bridge',
      config: layer2,
      containerId: newContainerId(),
      ifname: 'host0',
      netns,
      env,
    };
    expectSilent(await call(host, container));
    await host.exec(['ip', 'link', 'show', 'dev', 'host0']);
    expectSilent(await call(host, { ...container, command: 'DEL' }));
  }
  expect(leftovers(before, await snapshot(host), [/ cni2( |$)/])).toEqual(nothing);
});

test('a symbolic link to a namespace is one', async () => {
  const container = { plugin: 'bridge', containerId: newContainerId(), netns: '/run/x/link' };
  const added = await call(host, container);
  expectSilent(added);
  expect(added.result?.interfaces?.at(-1)?.sandbox).toBe('/run/x/link');
  expectSilent(await call(host, { ...container, command: 'DEL' }));
});
