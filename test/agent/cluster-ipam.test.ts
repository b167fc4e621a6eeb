import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addPods, netnsOf, podsOf, startAgents } from '../nodes/lab/cluster.ts';
import type { Lab } from '../nodes/lab/lab.ts';
import { confDir, type LabNode } from '../nodes/lab/node.ts';
import { outside } from '../nodes/lab/plan.ts';
import { exchanges, type Party, podParty, untilReached } from '../nodes/lab/reach.ts';
import { podwireBin } from '../support/binaries.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { conflistPlugin, metric, requireLab, twoNodes } from './agent-lab.ts';
import { tunnelTo } from './tunnel.ts';

let lab: Lab;
let etcd: EtcdServer;
const POOL = '/podwire/ipam/pools/default';
beforeEach(async (context) => {
  requireLab(context);
  skipFor(context, lackingEtcd());
  etcd = await EtcdServer.start();
  lab = await twoNodes();
  const [endpoint = ''] = etcd.endpoints;
  const hosts = lab.nodes.map(({ host }) => host);
  await tunnelTo(hosts, endpoint);
  await etcd.ctl('put', POOL, '{"cidr":"10.77.0.0/16","blockSize":26}');
});
afterEach(async () => {
  await lab?.dispose();
  await etcd?.[Symbol.asyncDispose]();
});

/** A file for `--ipam-config`, of every node. */
const ipamConfig = (more: Record<string, unknown> = {}): string => {
  const { ca, cert, key } = etcd.options.tls;
  const datastore = { type: 'etcd', endpoints: etcd.endpoints, ca, cert, key };
  const file = `${lab.directory}/ipam.json`;
  writeFileSync(file, JSON.stringify({ type: 'cluster-ipam', datastore, ...more }));
  return file;
};

const records = async (collection: string): Promise<Record<string, unknown>[]> => {
  const text = await etcd.ctl('get', '--prefix', `/podwire/ipam/${collection}/`, '--print-value-only');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};

/** Adds the pod default/sticky-0 under a container's name. */
const addSticky = async (node: LabNode, id: string): Promise<Party> => {
  const { netns } = await node.host.addPod(id);
  const args = ['--args', 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=sticky-0'];
  const run = [
    'run',
    'add',
    'podwire',
    netns,
    '--container-id',
    id,
    '--conf-dir',
    confDir,
    '--json',
    ...args,
  ];
  const { ips } = JSON.parse(await node.podwire([...run, '--bin-dir', podwireBin])) as {
    ips: { address: string }[];
  };
  const addresses = ips.map(({ address }) => address.split('/')[0] ?? '');
  const path = node.host.path(netns);
  await lab.prober.serve([path]);
  return { name: id, netns: path, addresses };
};

const deleteSticky = (node: LabNode, id: string): Promise<string> =>
  node.podwire([
    ...['run', 'del', 'podwire', `/run/netns/${id}`, '--container-id', id, '--conf-dir', confDir],
    ...['--bin-dir', podwireBin],
  ]);

test('a sticky pod that moves keeps its address and is reached there', { timeout: 120_000 }, async () => {
  const args = ['--ipam-config', ipamConfig({ sticky: true }), '--sync-interval', '1'];
  await startAgents(lab.nodes, args);
  const [first, second] = [lab.node(1), lab.node(2)];
  expect(conflistPlugin(first).ipam).toMatchObject({ type: 'cluster-ipam', nodeName: 'n1', sticky: true });
  // Claimed before the first pod.
  await waitUntil('both nodes have a block', async () => (await records('blocks')).length === 2);
  const before = await addSticky(first, 'here');
  expect(before.addresses).toEqual([expect.stringMatching(/^10\.77\./)]);
  const others: Party[] = [];
  for (const node of lab.nodes) {
    const { netns } = await node.host.addPod(`${node.name}-other`);
    const run = [
      'run',
      'add',
      'podwire',
      netns,
      '--container-id',
      `${node.name}-other`,
      '--conf-dir',
      confDir,
    ];
    const named = [
      '--args',
      `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${node.name}-other`,
      '--json',
    ];
    const { ips } = JSON.parse(await node.podwire([...run, ...named, '--bin-dir', podwireBin]));
    const addresses = (ips as { address: string }[]).map(({ address }) => address.split('/')[0] ?? '');
    others.push({ name: `${node.name}-other`, netns: node.host.path(netns), addresses });
  }
  await lab.prober.serve(others.map(({ netns }) => netns));
  const both = (pod: Party) => [...exchanges(others, [pod]), ...exchanges([pod], others)];
  await untilReached(lab, [...both(before), ...exchanges(others, others)]);

  await deleteSticky(first, 'here');
  const after = await addSticky(second, 'there');
  expect(after.addresses).toEqual(before.addresses);
  await untilReached(lab, both(after));
  expect(first.peers()).toMatchObject([
    { name: 'n2', podCIDRs: expect.arrayContaining([`${after.addresses[0]}/32`]) },
  ]);

  // And back, where it is in the node's own block.
  await deleteSticky(second, 'there');
  const back = await addSticky(first, 'back');
  expect(back.addresses).toEqual(before.addresses);
  await untilReached(lab, both(back));
  await waitUntil('no route of its own is left', () => !JSON.stringify(first.peers()).includes('/32"'));
  // Looked at as often as the agent syncs.
  await waitUntil(
    'the metrics tell of two pods',
    async () => (await metric(first, 'podwire_ipam_addresses_in_use{pool="default"}')) === 2,
  );
  expect(await metric(first, 'podwire_ipam_blocks{pool="default"}')).toBe(1);
});

test('blocks of a node that is gone are reclaimed; the data path outlives etcd', {
  timeout: 180_000,
}, async () => {
  const args = [
    '--ipam-config',
    ipamConfig({ prefix: 'block', reclaimAfterSeconds: 60 }),
    '--sync-interval',
    '1',
  ];
  // All that a node's pods have is of its blocks.
  lab.register(lab.nodes.map(({ entry }) => ({ ...entry, podCIDRs: [] })));
  await startAgents(lab.nodes, args);
  for (const node of lab.nodes) await addPods(node, 1);
  const pods = podsOf(lab).map(podParty);
  await lab.prober.serve([lab.outside.netnsPath, ...podsOf(lab).map(netnsOf)]);
  const world: Party = { name: 'outside', netns: lab.outside.netnsPath, addresses: [outside.ipv4] };
  const outward = exchanges(pods, [world], ({ name }) => [`198.51.100.${name.slice(1, 2)}`]);
  await untilReached(lab, [...exchanges(pods, pods), ...outward]);
  await etcd.kill();
  const [first, second] = [lab.node(1), lab.node(2)];
  await waitUntil('n1 says that etcd is away', async () =>
    (await first.health('/readyz'))?.body.includes('the datastore of cluster-ipam is away'),
  );
  await untilReached(lab, exchanges(pods, pods));
  etcd.resume();
  await etcd.ready();
  await second.stopAgent();
  lab.register([{ ...first.entry, podCIDRs: [] }]);
  await waitUntil('its block is marked', async () =>
    (await records('blocks')).some(({ node, missingSince }) => node === 'n2' && missingSince !== undefined),
  );
  const mark = new Date(Date.now() - 61_000).toISOString();
  const [block] = (await records('blocks')).filter(({ node }) => node === 'n2');
  const name = String(block?.cidr).replace(/[./]/g, '-');
  // As if the grace time had passed.
  await etcd.ctl('put', `/podwire/ipam/blocks/${name}`, JSON.stringify({ ...block, missingSince: mark }));
  await first.stopAgent();
  first.startAgent(args);
  await waitUntil('it is reclaimed', async () =>
    (await records('blocks')).every(({ node }) => node === 'n1'),
  );
  await waitUntil(
    'it is counted',
    async () => (await metric(first, 'podwire_ipam_reclaimed_total{kind="block"}')) === 1,
  );
});
