import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isObject } from '../../shared/cni/fields.ts';
import type { Lab } from '../nodes/lab/lab.ts';
import { confDir, type LabNode } from '../nodes/lab/node.ts';
import { nodeObject } from '../registry/node-object.ts';
import { podwireBin } from '../support/binaries.ts';
import { Authority } from '../support/kubernetes/certificates.ts';
import { ScriptedApiServer } from '../support/kubernetes/scripted-api-server.ts';
import { requireTool } from '../support/needs.ts';
import type { Running } from '../support/process.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  conflist,
  has,
  modeOf,
  readText,
  requireLab,
  twoNodes,
  vtepState,
  waitForReadiness,
} from './agent-lab.ts';
import { tunnelTo } from './tunnel.ts';

const NODES = '/api/v1/nodes';
const IPAM = '/apis/ipam.podwire.dev/v1alpha1';

let lab: Lab;
let node: LabNode;
let authority: Authority;
let server: ScriptedApiServer;
beforeEach(async (context) => {
  requireLab(context);
  requireTool(context, 'openssl');
  authority = await Authority.create();
  server = await ScriptedApiServer.start(authority);
  lab = await twoNodes();
  node = lab.node(1);
  await tunnelTo([node.host], server.url);
});
afterEach(async () => {
  await lab?.dispose();
  await server?.stop();
  authority?.dispose();
});

/** The agent as a DaemonSet starts it: its name by the environment, no other flag than the registry's. */
const start = (...args: string[]): Running => {
  const kubeconfig = join(authority.directory, 'kubeconfig');
  const entry = { 'certificate-authority': join(authority.directory, 'ca.crt'), server: server.url };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: entry }],
    users: [{ name: 'u', user: { token: 'agent' } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const flags = [
    '--registry',
    'kubernetes',
    '--kubeconfig',
    kubeconfig,
    '--health-address',
    '127.0.0.1:9090',
  ];
  return node.host.start([`${podwireBin}/podwire`, 'agent', ...flags, ...args], {
    env: { NODE_NAME: node.name, PATH: process.env.PATH ?? '' },
    timeout: 3_600_000,
  });
};

test('Node objects are peers; an API server that is away tears nothing down', {
  timeout: 90_000,
}, async () => {
  const [first, second] = lab.nodes.map(({ entry }) => entry);
  if (first === undefined || second === undefined) throw new Error('the lab has two nodes');
  server.objects.put(NODES, nodeObject({ ...first, podCIDRs: [] }));
  server.objects.put(NODES, nodeObject(second));
  start();
  await waitForReadiness(node, 'no range', ({ reasons }) =>
    /^node "n1" with an InternalIP and a pod range is not in/.test(reasons[0] ?? ''),
  );
  expect(has(node, conflist)).toBe(false);
  // The controller manager gives it one.
  server.objects.put(NODES, nodeObject(first));
  await waitForReadiness(node, 'ready', ({ ready }) => ready);
  expect(has(node, `${confDir}/10-podwire.conflist`)).toBe(true);
  expect(node.peers()).toMatchObject([
    { name: 'n2', address: second.addresses[0], podCIDRs: second.podCIDRs },
  ]);

  const before = await vtepState(node);
  await server.stop();
  await waitForReadiness(
    node,
    'stale',
    ({ ready, notes }) => ready && /^registry stale/.test(notes[0] ?? ''),
  );
  expect(await vtepState(node)).toBe(before);
  await server.listen();
  await waitForReadiness(node, 'fine again', ({ notes }) => notes.length === 0);
  server.objects.remove(NODES, 'n2');
  await waitUntil('the peer is gone', () => node.peers().length === 0);
});

test('cluster-ipam: plugins have labels and access, and a block is a prefix of its node', {
  timeout: 90_000,
}, async () => {
  for (const { entry } of lab.nodes) {
    const { metadata, ...object } = nodeObject(entry);
    if (!isObject(metadata)) throw new Error('a Node has metadata');
    server.objects.put(NODES, { ...object, metadata: { ...metadata, labels: { zone: 'a' } } });
  }
  server.objects.put('/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'team', labels: { tier: 'gold' } },
  });
  server.objects.put(`${IPAM}/podwirepools`, {
    apiVersion: 'ipam.podwire.dev/v1alpha1',
    kind: 'PodwirePool',
    metadata: { name: 'gold' },
    spec: { cidr: '10.77.0.0/16', nodeSelector: { matchLabels: { zone: 'a' } } },
  });
  const ipam = { type: 'cluster-ipam', datastore: { type: 'kubernetes' } };
  const template = { cniVersion: '1.1.0', name: 'podwire', plugins: [{ type: 'vxlan', ipam }] };
  writeFileSync(node.host.path('/run/template.json'), JSON.stringify(template));
  start('--conflist-template', '/run/template.json', '--sync-interval', '1');
  await waitForReadiness(node, 'ready', ({ ready }) => ready);
  const facts = '/var/lib/podwire/ipam/.cluster.json';
  await waitUntil('labels are known', () => has(node, facts) && has(node, `${confDir}/podwire.kubeconfig`));
  expect(JSON.parse(readText(node, facts))).toEqual({
    nodeLabels: { zone: 'a' },
    namespaces: { team: { tier: 'gold' } },
  });
  expect(modeOf(node, `${confDir}/podwire.kubeconfig`)).toBe(0o600);
  const { addresses } = await node.addPod('n1-a');
  expect(addresses).toEqual([expect.stringMatching(/^10\.77\./)]);
  const blocks = server.objects.all(`${IPAM}/podwireblocks`);
  expect(blocks).toMatchObject([{ spec: { node: 'n1', network: 'podwire', pool: 'gold' } }]);
  await waitUntil('the block is one of the node’s prefixes', () => node.state().podCIDRs.length === 3);
});
