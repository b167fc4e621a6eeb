import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newContainerId } from '../support/call-plugin.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, networks, pluginNames } from './calls.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('interface-name');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterAll(() => host.dispose());

// The bridge stays for the next pod, and so does the spoof check's frame, without elements.
const kept = [/ cni0( |$)/, /^nft (table|set|chain|rule) bridge podwire_spoof\b/];

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);

describe('CNI_IFNAME', () => {
  test('is a name that the kernel accepts, else code 4', async () => {
    const bad = [
      '.',
      '..',
      'a/b',
      'a:b',
      'a b',
      'a\tb',
      'a\n',
      '\u00a0',
      'x'.repeat(16),
      'ä'.repeat(8),
      '../eth0',
      'eth%d',
      '%',
      '/',
    ];
    const rows = pluginNames.flatMap((plugin) =>
      ['ADD', 'DEL', 'CHECK'].flatMap((command) => bad.map((ifname) => ({ plugin, command, ifname }))),
    );
    await forAll(
      rows,
      (row) => JSON.stringify(row),
      async (row) => {
        const outcome = await call(host, row);
        expectError(outcome, 4, 'CNI_IFNAME', JSON.stringify(row.ifname));
      },
    );
    await nothingLeft();
  });

  test('with odd characters works or is refused, and injects nothing', async () => {
    const odd = [
      "a'b",
      'a"b',
      'a\\b',
      'a;b',
      'a|b',
      'a&b',
      'a#b',
      '#',
      '$(id)',
      '`id`',
      '-x',
      '--help',
      'a*',
      '?',
      '!',
      '{}',
      'é',
      '日本',
      '🐧',
      '\u0001',
      '\u007f',
      '\u202e',
      'a,b',
      '@file',
      'a@b',
      'dev',
      'up',
      'x'.repeat(15),
      'all',
      'default',
      '0',
      '~',
      'eth0.100',
      'a\u0300',
      '[a]',
      'a=b',
      '<a>',
      'type',
      'netns',
    ];
    await forAll(
      odd.flatMap((ifname) => (['bridge', 'veth'] as const).map((plugin) => ({ plugin, ifname }))),
      (row) => JSON.stringify(row),
      async ({ plugin, ifname }) => {
        const pod = await host.addPod(newContainerId());
        const config = plugin === 'bridge' ? { ...networks.bridge, macspoofchk: true } : networks.veth;
        const container = { plugin, config, ifname, netns: pod, containerId: pod.name };
        const added = await call(host, container);
        if (added.exitCode === 0) {
          expect(added.result?.interfaces?.some(({ name, sandbox }) => name === ifname && sandbox)).toBe(
            true,
          );
          const links = JSON.parse(await pod.exec(['ip', '-j', 'link'])) as { ifname: string }[];
          expect(links.map((link) => link.ifname)).toEqual(['lo', ifname]);
          const later = { ...config, prevResult: added.result };
          expectSilent(await call(host, { ...container, config: later, command: 'CHECK' }));
        } else {
          expectError(added, [4, 100]);
        }
        expectSilent(await call(host, { ...container, command: 'DEL' }));
        await pod.remove();
      },
    );
    await nothingLeft();
  });

  test('that is taken is refused with code 103, and what has it stays', async () => {
    const pod = await host.addPod('taken');
    await pod.exec(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other']);
    const snapshotBefore = await snapshot(host);
    for (const plugin of ['bridge', 'veth']) {
      expectError(await call(host, { plugin, netns: pod }), 103, 'eth0', pod.netns);
      expectError(await call(host, { plugin, netns: pod, ifname: 'lo' }), 103, 'lo');
    }
    expect(leftovers(snapshotBefore, await snapshot(host), kept)).toEqual(nothing);
    await pod.remove();
  });
});
