import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newContainerId } from '../support/call-plugin.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, networks, pluginNames } from './calls.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('network-name');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterAll(() => host.dispose());

// The bridge stays for the next pod, and so does the spoof check's frame, without elements.
const kept = [/ cni0( |$)/, /^nft (table|set|chain|rule) bridge podwire_spoof\b/];

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);

describe('the name of the network', () => {
  test('begins with a letter or digit and holds no others than those, "_", "." and "-"; code 7', async () => {
    const bad = [
      '',
      null,
      '../x',
      '/etc',
      'a/b',
      'a b',
      '.a',
      '-a',
      '_a',
      'a\nb',
      'a\n',
      'ä',
      'a;b',
      "a'",
      'a"',
      'a\0',
    ];
    const rows = pluginNames.flatMap((plugin) => [...bad, 'x'.repeat(300)].map((name) => ({ plugin, name })));
    await forAll(
      rows,
      (row) => JSON.stringify(row),
      async ({ plugin, name }) => {
        for (const command of ['ADD', 'DEL', 'STATUS']) {
          expectError(
            await call(host, { plugin, command, config: { ...networks[plugin], name } }),
            7,
            '"name"',
          );
        }
      },
    );
    await nothingLeft();
  });

  test('may be any other text, as long as a directory name may be', async () => {
    const good = ['a', '0', 'a.b_c-d', 'CON', 'x'.repeat(255), 'lock', 'a..b'];
    await forAll(
      good.flatMap((name) => (['bridge', 'veth', 'host-local'] as const).map((plugin) => ({ plugin, name }))),
      (row) => JSON.stringify(row).slice(0, 80),
      async ({ plugin, name }) => {
        const pod = await host.addPod(newContainerId());
        const subnet =
          plugin === 'host-local' ? '10.32.0.0/16' : plugin === 'veth' ? '10.31.0.0/16' : '10.30.0.0/16';
        // Of their own, as networks of equal subnets would hand out equal addresses.
        const ipam = { type: 'host-local', subnet, dataDir: '/var/lib/cni/networks' };
        const config = { ...networks[plugin], name, ipMasq: false, ipam };
        const container = { plugin, config, containerId: pod.name, netns: pod };
        expectSilent(await call(host, container));
        expectSilent(await call(host, { ...container, command: 'DEL' }));
        await pod.remove();
      },
    );
    const { added } = leftovers(before, await snapshot(host), kept);
    expect(added).toEqual([]);
  });
});
