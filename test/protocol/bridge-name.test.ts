import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newContainerId } from '../support/call-plugin.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, networks } from './calls.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('bridge-name');
  await host.addPod('pod');
  await host.shell(
    'ip link add veth-like type veth peer name veth-like2; ip link add vx type vxlan id 9 dstport 9 || true',
  );
  before = await snapshot(host);
});
afterAll(() => host.dispose());

// The bridge stays for the next pod, and so does the spoof check's frame, without elements.
const kept = [/ cni0( |$)/, /^nft (table|set|chain|rule) bridge podwire_spoof\b/];

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);

describe('the name of the bridge', () => {
  test('is an interface name, else code 7', async () => {
    const bad = [
      'x'.repeat(16),
      '.',
      '..',
      'a/b',
      'a:b',
      'a b',
      'a\nb',
      'a"b',
      "a'b",
      'a\\b',
      'br%d',
      '%d',
      '\u0000',
      'brücke',
      '/',
      ' ',
      'a#b',
      '#',
      '\tx',
    ];
    await forAll(
      bad,
      (bridge) => JSON.stringify(bridge),
      async (bridge) => {
        for (const command of ['ADD', 'STATUS']) {
          const outcome = await call(host, {
            plugin: 'bridge',
            command,
            config: { ...networks.bridge, bridge },
          });
          expectError(outcome, 7, '"bridge"', JSON.stringify(bridge));
        }
      },
    );
    await nothingLeft();
  });

  test('with odd characters works or is refused, and injects nothing', async () => {
    const odd = [
      '$(id)',
      '-x',
      '--help',
      'a;b',
      'a|b',
      '{}',
      '*',
      'dev',
      'up',
      'all',
      'default',
      'type',
      'x'.repeat(15),
      '0',
      'a@b',
    ];
    for (const bridge of odd) {
      const pod = await host.addPod(newContainerId());
      const config = { ...networks.bridge, bridge, macspoofchk: true };
      const container = { plugin: 'bridge', config, netns: pod, containerId: pod.name };
      const added = await call(host, container);
      if (added.exitCode === 0) expect(added.result?.interfaces?.[0]?.name).toBe(bridge);
      else expectError(added, [7, 100]);
      expectSilent(await call(host, { ...container, command: 'DEL' }));
      await pod.remove();
      const links = JSON.parse(await host.exec(['ip', '-j', 'link', 'show', 'type', 'bridge'])) as {
        ifname?: string;
      }[];
      for (const { ifname } of links.filter(({ ifname }) => ifname !== undefined && ifname !== 'cni0')) {
        expect(ifname).toBe(bridge);
        await host.exec(['ip', 'link', 'del', 'dev', bridge]);
      }
    }
    await nothingLeft();
  });

  test('of something else is refused with code 103, STATUS says 50, and nothing is changed', async () => {
    for (const bridge of ['lo', 'veth-like']) {
      const config = { ...networks.bridge, bridge };
      expectError(await call(host, { plugin: 'bridge', config }), 103, `"${bridge}"`);
      expectError(await call(host, { plugin: 'bridge', config, command: 'STATUS' }), 50, `"${bridge}"`);
    }
    await nothingLeft();
  });
});
