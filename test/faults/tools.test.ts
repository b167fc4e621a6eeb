import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { call, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { requireTool } from '../support/needs.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { breakTool, brokenEnv, mendTools, ofDel, ofHost, ofPod, withoutTool } from './broken-tools.ts';

const iptables = { ...networks.bridge, ipMasqBackend: 'iptables' };
const nftables = { ...networks.bridge, ipMasqBackend: 'nftables' };
const kept = [/ cni0( |$)/, /^nft .* podwire_masquerade/, /PODWIRE-[A-Z]+$/, /-A POSTROUTING .*-j PODWIRE/];

let host: TestHost;
let before: Snapshot;
beforeEach(async () => {
  host = await createPluginHost('tools');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterEach(() => host.dispose());

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);

/** Shows that the host is as good as new: an ADD gets an address, CHECK likes it, DEL takes it back. */
const worksAgain = async (plugin: string, config: object): Promise<void> => {
  const container = { plugin, config, containerId: 'after' };
  const added = await call(host, container);
  expectSilent(added);
  expectSilent(
    await call(host, { ...container, command: 'CHECK', config: { ...config, prevResult: added.result } }),
  );
  expectSilent(await call(host, { ...container, command: 'DEL' }));
  await nothingLeft();
};

// How a tool may fail where it is asked for one thing; else it works.
const ways = {
  'refuses to work': "echo 'Operation not permitted' >&2; exit 1",
  'works, then fails': 'real "$@"; exit 2',
  'is killed': 'kill -9 $$',
  'works, then is killed': 'real "$@"; kill -9 $$',
  'fails without a word': 'exit 255',
  'fails with a flood': "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1",
};

describe('a tool that fails during ADD', () => {
  const rows = [
    { plugin: 'bridge', config: nftables, tool: 'ip', when: ofHost },
    { plugin: 'bridge', config: nftables, tool: 'ip', when: ofPod },
    { plugin: 'veth', config: networks.veth, tool: 'ip', when: ofHost },
    { plugin: 'veth', config: networks.veth, tool: 'ip', when: ofPod },
    { plugin: 'bridge', config: nftables, tool: 'nft', when: '*' },
    { plugin: 'bridge', config: iptables, tool: 'iptables-restore', when: '*' },
  ];
  test.each(rows)('$tool ($when) of $plugin: code 100, and nothing is left', async (row) => {
    const { plugin, config, tool, when } = row;
    const container = { plugin, config, containerId: 'unlucky' };
    for (const [way, script] of Object.entries(ways)) {
      await breakTool(host, tool, when, script);
      const outcome = await call(host, { ...container, env: brokenEnv });
      await mendTools(host);
      // What is in force counts, not how the tool ended: an ADD that sees its work done may succeed.
      if (outcome.exitCode === 0 && way.startsWith('works')) {
        expectSilent(await call(host, { ...container, command: 'DEL' }));
      } else {
        const error = expectError(outcome, 100, tool);
        expect(error.details?.length ?? 0, way).toBeLessThan(6000);
      }
      expect({ way, ...leftovers(before, await snapshot(host), kept) }).toEqual({ way, ...nothing });
    }
    await worksAgain(plugin, config);
  });

  test.each(['bridge', 'veth'] as const)(
    'a link of %s that cannot be removed keeps its address until DEL',
    async (plugin) => {
      const container = { plugin, containerId: 'stuck' };
      await breakTool(host, 'ip', `${ofPod}|${ofDel}`, ways['refuses to work']);
      const error = expectError(await call(host, { ...container, env: brokenEnv }), 100, 'ip');
      await mendTools(host);
      expect(error.details).toContain('still there');
      const address = plugin === 'bridge' ? '10.30.0.2' : '10.31.0.2';
      const other = { plugin, containerId: 'other', ifname: 'eth1', args: `IP=${address};IgnoreUnknown=1` };
      expectError(await call(host, other), 102, address, 'stuck');
      expectSilent(await call(host, { ...container, command: 'DEL' }));
      expectSilent(await call(host, other));
      expectSilent(await call(host, { ...other, command: 'DEL' }));
      await nothingLeft();
    },
  );
});

describe('a tool that fails during DEL', () => {
  const rows = [
    { plugin: 'bridge', config: nftables, tool: 'ip' },
    { plugin: 'veth', config: networks.veth, tool: 'ip' },
    { plugin: 'bridge', config: nftables, tool: 'nft' },
    { plugin: 'bridge', config: iptables, tool: 'iptables-nft-restore' },
  ];
  test.each(rows)('$tool of $plugin: code 100, and the next DEL removes the rest', async (row) => {
    const { plugin, config, tool } = row;
    for (const way of ['refuses to work', 'is killed'] as const) {
      const container = { plugin, config, containerId: 'deleted' };
      expectSilent(await call(host, container));
      await breakTool(host, tool, '*', ways[way]);
      expectError(await call(host, { ...container, command: 'DEL', env: brokenEnv }), 100, tool);
      await mendTools(host);
      expectSilent(await call(host, { ...container, command: 'DEL' }));
      await nothingLeft();
    }
    await worksAgain(plugin, config);
  });

  test('GC goes on after a failure and reports it; the next one removes the rest', async () => {
    const pods = [await host.addPod('one'), await host.addPod('two')];
    const config = { ...nftables, 'cni.dev/valid-attachments': [] };
    for (const pod of pods)
      expectSilent(await call(host, { plugin: 'bridge', config, containerId: pod.name, netns: pod }));
    await breakTool(host, 'ip', '*', ways['refuses to work']);
    expectError(await call(host, { plugin: 'bridge', config, command: 'GC', env: brokenEnv }), 100, 'ip');
    await mendTools(host);
    const collected = await call(host, { plugin: 'bridge', config, command: 'GC' });
    expectSilent(collected);
    expect(collected.stdout).toBe('');
    for (const pod of pods) await pod.remove();
    await nothingLeft();
  });
});

describe('a tool that is missing', () => {
  test('ip: code 100 that names the package; STATUS says 50; DEL waits for it', async () => {
    for (const plugin of ['bridge', 'veth'] as const) {
      const container = { plugin, containerId: `left-${plugin}`, ifname: plugin };
      expectSilent(await call(host, container));
      await withoutTool(host, ['ip'], async () => {
        expectError(await call(host, { plugin, ifname: 'other' }), 100, 'ip', 'iproute2');
        expectError(await call(host, { plugin, command: 'STATUS' }), 50, 'ip');
        expectError(await call(host, { ...container, command: 'DEL' }), 100, 'ip', 'iproute2');
        // Where there is nothing to do, the tool is not missed.
        expectSilent(await call(host, { plugin, command: 'DEL' }));
      });
      expectSilent(await call(host, { ...container, command: 'DEL' }));
      await nothingLeft();
    }
  });

  test('nft: with ipMasqBackend nftables code 100, without it iptables serves', async (context) => {
    requireTool(context, 'iptables');
    await withoutTool(host, ['nft'], async () => {
      expectError(await call(host, { plugin: 'bridge', config: nftables }), 100, 'nft', 'nftables');
      expectError(await call(host, { plugin: 'bridge', config: nftables, command: 'STATUS' }), 50, 'nft');
      const container = { plugin: 'bridge', containerId: 'by-iptables' };
      const added = await call(host, container);
      expectSilent(added);
      const config = { ...networks.bridge, prevResult: added.result };
      expectSilent(await call(host, { ...container, config, command: 'CHECK' }));
      expectSilent(await call(host, { ...container, command: 'DEL' }));
    });
    await nothingLeft();
  });

  test('iptables: code 100 that names the package; STATUS says 50', async (context) => {
    requireTool(context, 'iptables');
    await withoutTool(
      host,
      ['iptables-restore', 'iptables-legacy-restore', 'iptables-nft-restore'],
      async () => {
        expectError(
          await call(host, { plugin: 'bridge', config: iptables }),
          100,
          'iptables-restore',
          'iptables',
        );
        expectError(
          await call(host, { plugin: 'bridge', config: iptables, command: 'STATUS' }),
          50,
          'iptables',
        );
      },
    );
    await nothingLeft();
  });
});
