import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Topology } from '../../cli/topology/model.ts';
import { podwireBin } from '../support/binaries.ts';
import { lackingKernel, skipFor } from '../support/needs.ts';
import { expectSuccess, runProcess } from '../support/process.ts';
import { createCluster, podsOf, sameFamily } from './lab/cluster.ts';
import type { Lab } from './lab/lab.ts';
import { outside } from './lab/plan.ts';
import { exchanges, faults, nodeParty, type Party, podParty } from './lab/reach.ts';

// Three nodes of three pods each, dual stack: who reaches whom, and under which address.
let lab: Lab;
let pods: Party[];
let nodes: Party[];
const outsideParty = (): Party => ({
  name: 'outside',
  netns: lab.outside.netnsPath,
  addresses: [outside.ipv4, outside.ipv6],
});
const lacking = lackingKernel('vxlan', 'ipv6');
beforeEach((context) => skipFor(context, lacking));
beforeAll(async () => {
  if (lacking !== undefined) return;
  lab = await createCluster({ pods: 3 });
  pods = podsOf(lab).map(podParty);
  nodes = lab.nodes.map(nodeParty);
});
afterAll(() => lab?.dispose());

test('every pod has an address of each family, out of its own node’s ranges', () => {
  const expected = lab.nodes.map(({ number }) => [`10.244.${number}.`, `fd00:244:${number}::`]);
  for (const [index, { pods: own }] of lab.nodes.entries()) {
    expect(own).toHaveLength(3);
    for (const { addresses } of own) {
      expect(addresses).toHaveLength(2);
      for (const prefix of expected[index] ?? []) {
        expect(addresses.filter((address) => address.startsWith(prefix))).toHaveLength(1);
      }
    }
  }
  expect(new Set(pods.flatMap(({ addresses }) => addresses)).size).toBe(18);
});

test('every pod reaches every other by its address, and is seen under its own: no NAT', async () => {
  const all = exchanges(pods, pods);
  expect(all).toHaveLength(9 * 8 * 2 * 2);
  expect(await faults(lab, all)).toEqual([]);
});

test('processes of every node’s own network reach all pods, from an address of the node', async () => {
  const all = exchanges(nodes, pods, (from) => {
    const node = lab.nodes.find(({ name }) => name === from.name);
    const own = node?.state().addresses.map((address) => address.split('/')[0] ?? '') ?? [];
    return [...own, ...from.addresses, ...gatewaysOf(node?.number ?? 0)];
  });
  expect(all).toHaveLength(3 * 9 * 2 * 2);
  expect(await faults(lab, all)).toEqual([]);
});

/** The gateway of the pods is an address of their node. */
const gatewaysOf = (number: number): string[] => [`10.244.${number}.1`, `fd00:244:${number}::1`];

test('pods reach the nodes’ own addresses', async () => {
  const all = exchanges(pods, nodes, (from, _to, address) => {
    const node = lab.nodes.find(({ pods: own }) => own.some(({ name }) => name === from.name));
    return [from, { addresses: node?.entry.addresses ?? [] }].flatMap(
      ({ addresses }) => sameFamily(addresses, address) ?? [],
    );
  });
  expect(await faults(lab, all)).toEqual([]);
});

test('pods reach the outside, which sees their node’s address; it has no way to them', async () => {
  const all = exchanges(pods, [outsideParty()], (from, _to, address) => {
    const node = lab.nodes.find(({ pods: own }) => own.some(({ name }) => name === from.name));
    return [sameFamily(node?.entry.addresses ?? [], address) ?? ''];
  });
  expect(all).toHaveLength(9 * 2 * 2);
  expect(await faults(lab, all)).toEqual([]);
  const inward = exchanges([outsideParty()], pods.slice(0, 1)).map(({ question }) => question);
  expect(await lab.prober.ask(inward, 500)).toEqual(inward.map(() => ({ failed: expect.any(String) })));
});

test('a pod that is deleted is gone, the others stay, and its address is given again', async () => {
  const node = lab.node(2);
  const [pod] = node.pods;
  if (pod === undefined) throw new Error('no pod');
  await node.deletePod(pod.name);
  const left = podsOf(lab).map(podParty);
  expect(await faults(lab, exchanges(left, left))).toEqual([]);
  const added = await node.addPod('n2-again');
  await lab.prober.serve([podParty(added).netns]);
  expect(await faults(lab, exchanges([podParty(added)], left))).toEqual([]);
  expect(await faults(lab, exchanges(left, [podParty(added)]))).toEqual([]);
});

test('podwire topology tells of all that, from the live state', async () => {
  const files: string[] = [];
  for (const node of lab.nodes) {
    const file = `${lab.directory}/${node.name}.json`;
    const json = await node.podwire(['topology', '--json']);
    const { nodes: seen } = JSON.parse(json) as Topology;
    expect(seen.map(({ name }) => name)).toEqual([node.name]);
    expect(
      seen[0]?.overlays.flatMap(({ problems, peers }) => [
        ...problems,
        ...peers.flatMap((peer) => peer.problems),
      ]),
    ).toEqual([]);
    expect(seen[0]?.pods.flatMap(({ problems }) => problems)).toEqual([]);
    expect(seen[0]?.pods.map(({ containerId, addresses }) => ({ containerId, addresses }))).toEqual(
      node.pods
        .map(({ name, addresses }) => ({ containerId: name, addresses }))
        .sort((a, b) => (a.containerId < b.containerId ? -1 : 1)),
    );
    writeFileSync(file, json);
    files.push(file);
  }
  const merged = (...args: string[]) =>
    runProcess([`${podwireBin}/podwire`, 'topology', ...args, '--from', ...files]);
  const text = expectSuccess(await merged());
  for (const { name, addresses } of podsOf(lab)) {
    expect(text).toMatch(new RegExp(`${name} +${addresses.join(' +').replaceAll('.', '\\.')} `));
  }
  expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
  const svg = expectSuccess(await merged('--svg', '-'));
  expect(svg.match(/>vxlan</g)).toHaveLength(3);
  for (const address of podsOf(lab).flatMap(({ addresses }) => addresses))
    expect(svg).toContain(`>${address}<`);
});

test('podwire topology tells what the kernel lacks', async () => {
  const node = lab.node(3);
  await node.stopAgent();
  await node.host.exec(['ip', 'route', 'del', '10.244.1.0/24']);
  const text = await node.podwire(['topology']);
  expect(text).toContain('✗ no route to 10.244.1.0/24 by pwvxlan1');
  await node.sync();
  expect(await node.podwire(['topology'])).not.toContain('✗');
});
