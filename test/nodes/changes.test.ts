import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireKernel } from '../support/needs.ts';
import { expectSuccess } from '../support/process.ts';
import { waitUntil } from '../support/wait-until.ts';
import { addPods, createCluster, knowsPeers, podsOf, startAgents } from './lab/cluster.ts';
import { createLab, type Lab } from './lab/lab.ts';
import { confDir, type LabNode, type LabPod } from './lab/node.ts';
import { exchanges, podParty, untilReached } from './lab/reach.ts';
import { startPing } from './steady-ping.ts';

// The cluster changes while it runs: by edits of the registry's file, which the agents notice.
let lab: Lab | undefined;
beforeEach((context) => requireKernel(context, 'vxlan', 'ipv6'));
afterEach(() => lab?.dispose());

const allPods = (of: Lab) => podsOf(of).map(podParty);

const serveAll = (of: Lab) => of.prober.serve(allPods(of).map(({ netns }) => netns));

/** All of a node's overlay in the kernel, as `ip` and `bridge` show it. */
const overlayOf = ({ host }: LabNode): Promise<string> =>
  host.shell(
    'ip route show dev pwvxlan1; ip -6 route show dev pwvxlan1 proto 112; ip neigh show dev pwvxlan1 nud permanent; bridge fdb show dev pwvxlan1',
  );

test('a node joins, and leaves again without a trace', async () => {
  lab = await createLab();
  const [n1, n2, n3] = [lab.node(1), lab.node(2), lab.node(3)];
  lab.register([n1.entry, n2.entry]);
  await startAgents([n1, n2]);
  await Promise.all([addPods(n1, 1), addPods(n2, 1)]);
  await serveAll(lab);
  await untilReached(lab, exchanges(allPods(lab), allPods(lab)));
  const before = await overlayOf(n1);

  // Meanwhile the others talk.
  const [from, to] = [n1.pods[0] as LabPod, n2.pods[0] as LabPod];
  const pings = await Promise.all(to.addresses.map((address) => startPing(from, address)));
  n3.startAgent();
  lab.register();
  await n3.ready();
  await addPods(n3, 1);
  await lab.prober.serve(n3.pods.map((pod) => podParty(pod).netns));
  await untilReached(lab, exchanges(allPods(lab), allPods(lab)));
  expect(await overlayOf(n1)).not.toBe(before);

  lab.register([n1.entry, n2.entry]);
  await Promise.all([knowsPeers(n1, 1), knowsPeers(n2, 1)]);
  expect(await overlayOf(n1)).toBe(before);
  await Promise.all(pings.map((ping) => ping.answers(10)));
  expect((await Promise.all(pings.map((ping) => ping.lost()))).flat()).toEqual([]);
});

test('what changed while an agent was away is caught up with', async () => {
  lab = await createCluster({ pods: 1, segments: [0, 0, 0, 0] });
  const [n1, n2, n3, n4] = lab.nodes as [LabNode, LabNode, LabNode, LabNode];
  await n1.stopAgent('SIGKILL');
  await n2.deletePod('n2-a');
  n2.entry.podCIDRs.splice(0, 2, '10.244.77.0/24', 'fd00:244:77::/64');
  lab.register([n1.entry, n2.entry, n4.entry]);
  await conflistHas(n2, '10.244.77.0/24');
  await n2.addPod('renumbered');
  await knowsPeers(n4, 2);
  n1.startAgent();
  await n1.ready();
  await knowsPeers(n1, 2);
  const overlay = await overlayOf(n1);
  for (const stale of ['10.244.2.0', 'fd00:244:2::', '10.244.3.0', 'fd00:244:3::', n3.state().mac]) {
    expect(overlay).not.toContain(stale);
  }
  const pods = [n1, n2, n4].flatMap(({ pods: own }) => own.map(podParty));
  await lab.prober.serve(n2.pods.map((pod) => podParty(pod).netns));
  await untilReached(lab, exchanges(pods, pods));
});

test('a node changes its underlay address', async () => {
  lab = await createCluster({ pods: 1, underlay: 'ipv4' });
  const node = lab.node(2);
  await untilReached(lab, exchanges(allPods(lab), allPods(lab)));
  await node.host.shell(
    'ip addr add 198.51.100.22/24 dev eth0; ip addr del 198.51.100.2/24 dev eth0; ip addr show dev eth0 | grep -q 198.51.100.22/24 || ip addr add 198.51.100.22/24 dev eth0; ip route replace default via 198.51.100.254',
  );
  node.entry.addresses.splice(0, 1, '198.51.100.22');
  lab.register();
  await waitUntil('n2 sends from its new address', () => node.state().underlay.address === '198.51.100.22');
  await untilReached(lab, exchanges(allPods(lab), allPods(lab)));
  for (const other of [lab.node(1), lab.node(3)]) {
    expect(other.peers().find(({ name }) => name === 'n2')?.address).toBe('198.51.100.22');
    expect(await overlayOf(other)).not.toMatch(/198\.51\.100\.2\b/);
  }
});

test('a node changes its ranges', async () => {
  lab = await createCluster({ pods: 1 });
  const [n1, n2] = [lab.node(1), lab.node(2)];
  await n2.deletePod('n2-a');
  n2.entry.podCIDRs.splice(0, 2, '10.244.77.0/24', 'fd00:244:77::/64');
  lab.register();
  await conflistHas(n2, '10.244.77.0/24');
  const pod = await n2.addPod('renumbered');
  expect(pod.addresses).toEqual([
    expect.stringMatching(/^10\.244\.77\./),
    expect.stringMatching(/^fd00:244:77::/),
  ]);
  await lab.prober.serve([podParty(pod).netns]);
  await untilReached(lab, exchanges(allPods(lab), allPods(lab)));
  await waitUntil('the old routes are gone', async () => !(await overlayOf(n1)).includes('10.244.2.0'));
  expect(await overlayOf(n1)).not.toContain('fd00:244:2::');
});

test('two nodes swap their ranges', async () => {
  lab = await createCluster({ pods: 1 });
  const [n1, n2] = [lab.node(1), lab.node(2)];
  await Promise.all([n1.deletePod('n1-a'), n2.deletePod('n2-a')]);
  const ranges = [...n1.entry.podCIDRs];
  n1.entry.podCIDRs.splice(0, 2, ...n2.entry.podCIDRs);
  n2.entry.podCIDRs.splice(0, 2, ...ranges);
  lab.register();
  await Promise.all([conflistHas(n1, '10.244.2.0/24'), conflistHas(n2, '10.244.1.0/24')]);
  const pods = [await n1.addPod('swapped-1'), await n2.addPod('swapped-2')];
  expect(pods.map(({ addresses }) => addresses[0])).toEqual([
    expect.stringMatching(/^10\.244\.2\./),
    expect.stringMatching(/^10\.244\.1\./),
  ]);
  await lab.prober.serve(pods.map((pod) => podParty(pod).netns));
  await untilReached(lab, exchanges(allPods(lab), allPods(lab)));
});

test('a node whose name is not in the registry is not ready, and its conflist is not there', async () => {
  lab = await createLab({ segments: [0, 0] });
  const [n1, n2] = [lab.node(1), lab.node(2)];
  lab.register([n1.entry]);
  n1.startAgent();
  n2.startAgent();
  await n1.ready();
  await waitUntil('n2 answers', async () => (await n2.health('/readyz'))?.status === 503);
  expect(await n2.host.exec(['ls', confDir])).toBe('');
  lab.register();
  await n2.ready();
});

test('cleanup removes all that the agent has made', async () => {
  lab = await createLab({ segments: [0, 0] });
  const node = lab.node(1);
  const look = () =>
    node.host.shell(
      `ip -br link; ip -br addr; ip route show; ip -6 route show | grep -v ^fe80; ip neigh show nud permanent; nft list ruleset; ls ${confDir}; find /run/podwire -type f | grep -v /locks/ || true`,
    );
  const before = await look();
  node.startAgent();
  await node.ready();
  expect(await look()).not.toBe(before);
  const { exitCode } = await node.stopAgent();
  expect(exitCode).toBe(0);
  expect(expectSuccess(await node.host.attempt(['ip', 'link', 'show', 'pwvxlan1']))).toContain('pwvxlan1');
  await node.cleanup();
  expect(await look()).toBe(before);
});

const conflistHas = (node: LabNode, text: string): Promise<unknown> =>
  waitUntil(`the conflist of ${node.name} has ${text}`, () =>
    readFileSync(node.host.path(`${confDir}/10-podwire.conflist`), 'utf8').includes(text),
  );
