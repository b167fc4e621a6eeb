import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireKernel } from '../support/needs.ts';
import { createCluster, podsOf, sameFamily } from './lab/cluster.ts';
import type { Lab } from './lab/lab.ts';
import { outside } from './lab/plan.ts';
import { exchanges, faults, type Party, podParty } from './lab/reach.ts';

// The same exchanges over other underlays and with the other packet filter.
let lab: Lab | undefined;
beforeEach((context) => requireKernel(context, 'vxlan', 'ipv6'));
afterEach(() => lab?.dispose());

/** Pods with each other, and from them to the outside by the families that the underlay has. */
const expectTraffic = async (of: Lab): Promise<void> => {
  const pods = podsOf(of).map(podParty);
  expect(await faults(of, exchanges(pods, pods))).toEqual([]);
  const families = of.node(1).entry.addresses;
  const addresses = [outside.ipv4, outside.ipv6].filter(
    (address) => sameFamily(families, address) !== undefined,
  );
  const world: Party = { name: 'outside', netns: of.outside.netnsPath, addresses };
  const outward = exchanges(pods, [world], (from, _to, address) => {
    const node = of.nodes.find(({ pods: own }) => own.some(({ name }) => name === from.name));
    return [sameFamily(node?.entry.addresses ?? [], address) ?? ''];
  });
  expect(outward.length).toBeGreaterThan(0);
  expect(await faults(of, outward)).toEqual([]);
};

test('IPv6 alone between the nodes, both families in the pods', async () => {
  lab = await createCluster({ underlay: 'ipv6', pods: 2 });
  expect(lab.node(1).state().underlay.address).toBe('2001:db8:0:a::1');
  await expectTraffic(lab);
});

test('IPv4 alone between the nodes, both families in the pods', async () => {
  lab = await createCluster({ underlay: 'ipv4', pods: 2 });
  await expectTraffic(lab);
});

test('pods on a bridge, as the template of the conflist says', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'podwire-template-'));
  try {
    const template = join(directory, 'template.json');
    const plugins = [{ type: 'vxlan', attach: 'bridge', bridge: 'pods0' }];
    writeFileSync(template, JSON.stringify({ cniVersion: '1.1.0', name: 'bridged', plugins }));
    lab = await createCluster({ pods: 2, agentArgs: ['--conflist-template', template] });
    await expectTraffic(lab);
    const ports = await lab.node(1).host.exec(['ip', '-br', 'link', 'show', 'master', 'pods0']);
    expect(ports.trimEnd().split('\n')).toHaveLength(2);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('nodes in two segments, all encapsulated', async () => {
  lab = await createCluster({ segments: [0, 1, 1], pods: 1 });
  await expectTraffic(lab);
});

test('NAT by iptables', async (context) => {
  requireKernel(context, 'iptables (nft)');
  lab = await createCluster({ segments: [0, 0], pods: 1, agentArgs: ['--nat-backend', 'iptables'] });
  await expectTraffic(lab);
  const { host } = lab.node(1);
  expect(await host.shell('iptables-save -t nat; iptables-legacy-save -t nat 2>/dev/null || true')).toContain(
    'MASQUERADE',
  );
  expect(await host.exec(['nft', 'list', 'tables'])).not.toMatch(/podwire\S*nat/);
});

test('without NAT the outside sees nothing of the pods, which still reach each other', async () => {
  lab = await createCluster({ segments: [0, 0], pods: 1, agentArgs: ['--no-nat-outgoing'] });
  const pods = podsOf(lab).map(podParty);
  expect(await faults(lab, exchanges(pods, pods))).toEqual([]);
  const world: Party = { name: 'outside', netns: lab.outside.netnsPath, addresses: [outside.ipv4] };
  const answers = await lab.prober.ask(
    exchanges(pods, [world]).map(({ question }) => question),
    500,
  );
  expect(answers.every((answer) => 'failed' in answer)).toBe(true);
});
