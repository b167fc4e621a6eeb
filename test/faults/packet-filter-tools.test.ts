import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { call, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { withoutTool } from './broken-tools.ts';
import { intact, repair } from './repair-call.ts';

const detected = networks.bridge;
const iptables = { ...networks.bridge, ipMasqBackend: 'iptables' };
const nftables = { ...networks.bridge, ipMasqBackend: 'nftables' };
const nftTools = ['nft'];
// All of them are two programs, of many names.
const iptablesTools = ['iptables-restore', 'iptables-legacy-restore', 'iptables-nft-restore'];

let host: TestHost;
let before: Snapshot;
beforeEach(async (context) => {
  requireTool(context, 'iptables');
  requireKernel(context, 'nftables');
  host = await createPluginHost('packet-filter-tools');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterEach(() => host?.dispose());

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), [/ cni0( |$)/])).toEqual(nothing);

/** ADD, STATUS, CHECK, DEL and repair in between, with what is installed; which rules ADD made. */
const live = async (config: object, containerId: string): Promise<'nftables' | 'iptables'> => {
  const container = { plugin: 'bridge', config, containerId };
  expectSilent(await call(host, { ...container, command: 'STATUS' }));
  const added = await call(host, container);
  expectSilent(added);
  const record = await host.exec(['cat', `/run/podwire/attachments/pods/${containerId}.eth0`]);
  const checked = { ...container, command: 'CHECK', config: { ...config, prevResult: added.result } };
  expectSilent(await call(host, checked));
  expect(await repair(host)).toEqual(intact(1));
  expectSilent(await call(host, { ...container, command: 'DEL' }));
  return (JSON.parse(record) as { filter: 'nftables' | 'iptables' }).filter;
};

describe('what is installed decides, unless the configuration does', () => {
  test('both: nftables, or what is asked for', async () => {
    expect(await live(detected, 'detected')).toBe('nftables');
    expect(await live(nftables, 'nftables')).toBe('nftables');
    expect(await live(iptables, 'iptables')).toBe('iptables');
    await nothingLeft();
  });

  test('only nft', async () => {
    await withoutTool(host, iptablesTools, async () => {
      expect(await live(detected, 'detected')).toBe('nftables');
      expect(await live(nftables, 'nftables')).toBe('nftables');
      expectError(await call(host, { plugin: 'bridge', config: iptables }), 100, 'iptables-restore');
    });
    await nothingLeft();
  });

  test('only iptables', async () => {
    await withoutTool(host, nftTools, async () => {
      expect(await live(detected, 'detected')).toBe('iptables');
      expect(await live(iptables, 'iptables')).toBe('iptables');
      expectError(await call(host, { plugin: 'bridge', config: nftables }), 100, 'nft', 'nftables');
    });
    await nothingLeft();
  });

  test('neither: ADD is refused and STATUS says so, DEL succeeds; without ipMasq nobody asks', async () => {
    await withoutTool(host, [...nftTools, ...iptablesTools], async () => {
      for (const config of [detected, nftables, iptables]) {
        const container = { plugin: 'bridge', config, containerId: 'refused' };
        expectError(await call(host, container), 100, 'not found; install');
        expectError(await call(host, { ...container, command: 'STATUS' }), 50, 'is not installed');
        expectSilent(await call(host, { ...container, command: 'DEL' }));
      }
      const container = { plugin: 'bridge', config: { ...detected, ipMasq: false }, containerId: 'plain' };
      expectSilent(await call(host, { ...container, command: 'STATUS' }));
      expectSilent(await call(host, container));
      expect(await repair(host)).toEqual(intact(1));
      expectSilent(await call(host, { ...container, command: 'DEL' }));
    });
    await nothingLeft();
  });
});

describe('a tool that was removed after ADD', () => {
  const rows = [
    { config: nftables, tools: nftTools, tool: 'nft', seesWithout: true },
    { config: iptables, tools: iptablesTools, tool: 'iptables', seesWithout: false },
  ];
  test.each(rows)(
    '$tool: DEL waits for it, repair names it, and all is well when it is back',
    async (row) => {
      const { config, tools, tool, seesWithout } = row;
      const container = { plugin: 'bridge', config, containerId: 'left' };
      const added = await call(host, container);
      expectSilent(added);
      const check = { ...container, command: 'CHECK', config: { ...config, prevResult: added.result } };
      await withoutTool(host, tools, async () => {
        const checked = await call(host, check);
        // nftables is read by netlink.
        if (seesWithout) expectSilent(checked);
        else expectError(checked, 100, tool);
      });
      await host.exec(['nft', 'flush', 'ruleset']);
      await withoutTool(host, tools, async () => {
        const report = await repair(host);
        expect(report).toMatchObject({ exitCode: 1, repaired: [] });
        expect(report.failed.map(({ why }) => why).join('\n')).toMatch(
          new RegExp(`${tool}\\S*: not found; install ${tool}`),
        );
      });
      expect(await repair(host)).toMatchObject({ exitCode: 0, attachments: 1, intact: 0, failed: [] });
      expectSilent(await call(host, check));
      await withoutTool(host, tools, async () => {
        expectError(await call(host, { ...container, command: 'DEL' }), 100, tool, 'install');
      });
      // The address is free and the link gone already; what is left are the rules.
      expectSilent(await call(host, { ...container, command: 'DEL' }));
      await nothingLeft();
    },
  );
});
