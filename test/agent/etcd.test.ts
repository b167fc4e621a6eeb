import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Lab } from '../nodes/lab/lab.ts';
import { confDir, type LabNode } from '../nodes/lab/node.ts';
import { podwireBin } from '../support/binaries.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import type { Running } from '../support/process.ts';
import { waitUntil } from '../support/wait-until.ts';
import { conflistPlugin, metric, requireLab, twoNodes, vtepState, waitForReadiness } from './agent-lab.ts';
import { tunnelTo } from './tunnel.ts';

let lab: Lab;
let etcd: EtcdServer;
beforeEach(async (context) => {
  requireLab(context);
  skipFor(context, lackingEtcd());
  etcd = await EtcdServer.start();
  lab = await twoNodes();
  const [endpoint = ''] = etcd.endpoints;
  await tunnelTo(
    lab.nodes.map(({ host }) => host),
    endpoint,
  );
});
afterEach(async () => {
  await lab?.dispose();
  await etcd?.[Symbol.asyncDispose]();
});

const registry = (): string[] => [
  '--registry',
  'etcd',
  '--etcd-endpoints',
  etcd.endpoints.join(),
  '--etcd-cacert',
  etcd.file('ca.crt'),
  '--etcd-cert',
  etcd.file('client.crt'),
  '--etcd-key',
  etcd.file('client.key'),
];
const start = (node: LabNode, ...args: string[]): Running =>
  node.host.start(
    [
      `${podwireBin}/podwire`,
      'agent',
      ...registry(),
      '--node',
      node.name,
      '--cni-conf-dir',
      confDir,
      '--health-address',
      '127.0.0.1:9090',
      ...args,
    ],
    { timeout: 3_600_000 },
  );
const isReady = ({ ready }: { ready: boolean }): boolean => ready;

test('nodes claim their ranges, find each other, and outlive etcd', { timeout: 120_000 }, async () => {
  const cluster = ['--cluster-cidrs', '10.244.0.0/16,fd00:244::/48'];
  for (const node of lab.nodes) start(node, ...cluster);
  for (const node of lab.nodes) await waitForReadiness(node, 'ready', isReady);
  const [first, second] = [lab.node(1), lab.node(2)];
  for (const node of lab.nodes) await waitUntil('it has its peer', () => node.peers().length === 1);
  expect(first.peers()).toMatchObject([
    { name: 'n2', address: second.entry.addresses[0], podCIDRs: second.state().podCIDRs },
  ]);
  const ranges = lab.nodes.map((node) => node.state().podCIDRs);
  expect(new Set(ranges.flat()).size).toBe(4);
  for (const [v4, v6] of ranges) {
    expect(v4).toMatch(/^10\.244\.\d+\.0\/24$/);
    expect(v6).toMatch(/^fd00:244:0:[0-9a-f]+::\/64$|^fd00:244::\/64$/);
  }
  expect(
    conflistPlugin(first)
      .ipam.ranges.flat()
      .map(({ subnet }) => subnet),
  ).toEqual(ranges[0]);

  const before = await vtepState(first);
  await etcd.kill();
  const stale = await waitForReadiness(first, 'stale', ({ notes }) => /^registry stale/.test(notes[0] ?? ''));
  expect(stale).toMatchObject({ ready: true, code: 200 });
  expect(await vtepState(first)).toBe(before);
  etcd.resume();
  await etcd.ready();
  await waitForReadiness(first, 'fine again', ({ notes }) => notes.length === 0);
  expect(await vtepState(first)).toBe(before);
  expect(await metric(first, 'podwire_agent_registry_up{registry="etcd"}')).toBe(1);
});

test('a node whose address changes tells the others, one that is cleaned up is gone', {
  timeout: 120_000,
}, async () => {
  const [first, second] = [lab.node(1), lab.node(2)];
  start(first, '--pod-cidrs', '10.244.1.0/24');
  const agent = start(second, '--pod-cidrs', '10.244.2.0/24');
  for (const node of lab.nodes) await waitForReadiness(node, 'ready', isReady);
  await waitUntil('n1 has its peer', () => first.peers().length === 1);
  await second.host.shell(
    'ip addr del 198.51.100.2/24 dev eth0; ip addr add 198.51.100.22/24 dev eth0; ip route replace default via 198.51.100.254',
  );
  await waitUntil('n1 knows the new address', () => first.peers()[0]?.address === '198.51.100.22');
  agent.kill('SIGTERM');
  expect(await agent.outcome).toMatchObject({ exitCode: 0 });
  expect(first.peers()).toHaveLength(1);
  const cleanup = ['agent', '--cleanup', '--node', 'n2', ...registry()];
  await second.podwire(cleanup);
  await waitUntil('n1 has no peer', () => first.peers().length === 0);
  expect(await second.host.exec(['ip', 'link'])).not.toContain('pwvxlan1');
});
