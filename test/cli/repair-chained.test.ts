import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { intact, repair } from '../faults/repair-call.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import type { PrintedResult } from '../support/call-plugin.ts';
import { newContainerId } from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { lackingKernel, requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
beforeEach(async () => {
  expectPlugins(podwireBin, 'podwire', 'bridge', 'firewall', 'bandwidth');
  host = await createHost({ name: 'repair-chained' });
});
afterEach(() => host?.dispose());

const bridge = {
  type: 'bridge',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.66.0.0/24' }], [{ subnet: 'fd66::/64' }]] },
};

/** Two pods with such a plugin behind the bridge. */
const attachTwo = async (plugin: {
  type: string;
  [key: string]: unknown;
}): Promise<[ChainCall, PrintedResult][]> => {
  const conflist = { cniVersion: '1.0.0', name: 'chained', plugins: [bridge, plugin] };
  const attached: [ChainCall, PrintedResult][] = [];
  for (const name of ['one', 'two']) {
    const netns = await host.addPod(name);
    const hostPort = name === 'one' ? 8081 : 8082;
    const runtimeConfig = { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] };
    const call = { conflist, binDirs: [podwireBin], containerId: newContainerId(name), netns };
    const chain = plugin.type === 'portmap' ? { ...call, runtimeConfig } : call;
    attached.push([chain, await addChain(host, chain)]);
  }
  return attached;
};

/** Damages the host; CHECK sees it, repair mends it, and DEL still finds everything. */
const damageAndRepair = async (
  attached: [ChainCall, PrintedResult][],
  rows: { damage: string; found: RegExp }[],
): Promise<void> => {
  expect(await repair(host)).toEqual(intact(4));
  for (const { damage, found } of rows) {
    const before = await snapshot(host);
    await host.shell(damage);
    const [first] = attached;
    if (first === undefined) throw new Error('no pod');
    await expect(checkChain(host, ...first), damage).rejects.toThrow(/podwire repair/);
    const report = await repair(host);
    expect(report).toMatchObject({ exitCode: 0, attachments: 4, failed: [], skipped: [], warnings: [] });
    expect(report.repaired.map(({ what }) => what).join('\n')).toMatch(found);
    for (const one of attached) await checkChain(host, ...one);
    expect(await repair(host)).toEqual(intact(4));
    expect(leftovers(before, await snapshot(host), [/^iptables-\S+ \S+ -A POSTROUTING/])).toEqual(nothing);
  }
};

describe('the portmap plugin', () => {
  const rows = [
    {
      backend: 'nftables',
      damages: [
        { damage: 'nft delete table inet podwire_portmap', found: /podwire_portmap \S+ is missing/ },
        { damage: 'nft flush ruleset', found: /of inet podwire_portmap \S+ is missing/ },
      ],
    },
    {
      backend: 'iptables',
      damages: [{ damage: 'iptables -t nat -F; iptables -t nat -X', found: /chain CNI-DN-\w+ is missing/ }],
    },
  ];
  test.for(rows)('with $backend', async ({ backend, damages }, context) => {
    requireTool(context, 'nft', 'iptables', 'ip6tables');
    requireKernel(context, 'nftables');
    const attached = await attachTwo({ type: 'portmap', backend, capabilities: { portMappings: true } });
    await damageAndRepair(attached, damages);
    for (const [chain] of attached) await delChain(host, chain);
  });
});

describe('the firewall plugin', () => {
  const rows = [
    {
      backend: 'nftables',
      damages: [
        { damage: 'nft delete table inet podwire_firewall', found: /podwire_firewall \S+ is missing/ },
        { damage: 'nft flush ruleset', found: /10\.66\.0\.2 of inet podwire_firewall pods4 is missing/ },
        {
          damage: 'nft flush set inet podwire_firewall pods6',
          found: /fd66::3 of inet podwire_firewall pods6/,
        },
      ],
    },
    {
      backend: 'iptables',
      damages: [
        { damage: 'iptables -F FORWARD', found: /rule "-A FORWARD .*CNI-FORWARD" is missing/ },
        {
          damage: 'iptables -F CNI-FORWARD',
          found: /rule "-A CNI-FORWARD -s 10\.66\.0\.3\/32 -j ACCEPT" is missing/,
        },
        { damage: 'iptables -F; iptables -X', found: /chain CNI-FORWARD is missing/ },
      ],
    },
  ];
  test.for(rows)('with $backend', async ({ backend, damages }, context) => {
    requireTool(context, 'nft', 'iptables', 'ip6tables');
    requireKernel(context, 'nftables');
    const attached = await attachTwo({ type: 'firewall', backend, ingressPolicy: 'same-bridge' });
    await damageAndRepair(attached, damages);
    for (const [chain] of attached) await delChain(host, chain);
  });
});

test('the bandwidth plugin', async (context) => {
  requireTool(context, 'tc');
  const lacking = lackingKernel('ifb');
  const limits = { ingressRate: 8_000_000, ingressBurst: 800_000 };
  const both = { ...limits, egressRate: 8_000_000, egressBurst: 800_000 };
  const plugin = { type: 'bandwidth', ...(lacking === undefined ? both : limits) };
  const before = await snapshot(host);
  const attached = await attachTwo(plugin);
  const port = (attached[0]?.[1].interfaces ?? []).find(({ name }) => name.startsWith('veth'))?.name;
  await damageAndRepair(attached, [
    { damage: `tc qdisc del dev ${port} root`, found: /there is no token bucket/ },
    ...(lacking === undefined
      ? [
          { damage: `tc qdisc del dev ${port} ingress`, found: new RegExp(`"${port}"`) },
          {
            damage: "ip link del $(ip -o link show type ifb | sed -n '1s/^[0-9]*: \\([^:@]*\\).*/\\1/p')",
            found: /ifb|bwp/,
          },
        ]
      : []),
  ]);
  for (const [chain] of attached) await delChain(host, chain);
  for (const pod of [...host.pods]) await pod.remove();
  expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
});
