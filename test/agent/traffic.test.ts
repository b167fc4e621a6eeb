import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lab } from '../nodes/lab/lab.ts';
import type { LabNode, LabPod } from '../nodes/lab/node.ts';
import { outside } from '../nodes/lab/plan.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { ping } from '../support/traffic.ts';
import { waitUntil } from '../support/wait-until.ts';
import { requireLab, twoNodes, vtepState, waitForVtepState } from './agent-lab.ts';

let lab: Lab;
let node: LabNode;
afterEach(() => lab?.dispose());

/** Nodes with an agent each, and a pod each that the agent's own configuration has attached. */
const startNodes = async (...args: string[]): Promise<[LabPod, LabPod]> => {
  expectPlugins(podwireBin, 'vxlan', 'host-local');
  lab = await twoNodes();
  node = lab.node(1);
  for (const each of lab.nodes) each.startAgent(args);
  await Promise.all(lab.nodes.map((each) => each.ready()));
  return [await node.addPod('a'), await lab.node(2).addPod('b')];
};

beforeEach(requireLab);

/** As which address each of the targets sees the pod, by TCP. */
const seenAs = async (from: LabPod, targets: string[]): Promise<(string | undefined)[]> => {
  const answers = await lab.prober.ask(
    targets.map((to) => ({ from: from.node.host.path(from.pod.netns), to, protocol: 'tcp' as const })),
  );
  return answers.map((answer) => ('seen' in answer ? answer.seen : answer.failed));
};

describe.for(['nftables', 'iptables'] as const)('outgoing NAT with %s', (backend) => {
  test('pods see pods, the outside and other nodes see the node', { timeout: 90_000 }, async () => {
    const [a, b] = await startNodes('--nat-backend', backend);
    const second = lab.node(2);
    await lab.prober.serve([
      second.host.path(b.pod.netns),
      second.host.netnsPath,
      node.host.netnsPath,
      lab.outside.netnsPath,
    ]);
    expect(await seenAs(a, b.addresses)).toEqual(a.addresses);
    expect(await seenAs(a, [outside.ipv4, outside.ipv6])).toEqual(node.entry.addresses);
    // Another node would drop what comes from a pod's address over its underlay.
    expect(await seenAs(a, second.entry.addresses)).toEqual(node.entry.addresses);
    expect(await seenAs(a, node.entry.addresses)).toEqual(a.addresses);
    // What pods send to the nodes' own network may be left as it is; the way back is the overlay's.
    await node.stopAgent();
    node.startAgent(['--nat-backend', backend, '--nat-exclude', second.entry.addresses.join()]);
    await node.ready();
    await waitUntil('the nodes are excluded', async () => {
      return (await seenAs(a, second.entry.addresses)).join() === a.addresses.join();
    });
    expect(await seenAs(a, [outside.ipv4, outside.ipv6])).toEqual(node.entry.addresses);
  });
});

test('without NAT the outside sees the pod, and what an earlier agent made is gone', {
  timeout: 90_000,
}, async () => {
  const [a] = await startNodes();
  await node.stopAgent();
  node.startAgent(['--no-nat-outgoing']);
  await node.ready();
  await waitUntil(
    'the rules are gone',
    async () => !/podwire_overlay/.test(await node.host.exec(['nft', 'list', 'tables'])),
  );
  await lab.prober.serve([lab.outside.netnsPath]);
  // The outside knows no way to pods: its router is told one.
  await lab.switch.shell(`ip route add 10.244.1.0/24 via ${node.entry.addresses[0]}`);
  expect(await seenAs(a, [outside.ipv4])).toEqual([a.addresses[0]]);
});

/** A ping ten times a second, until it is told to end; what it lost. */
const startPing = (from: LabPod, to: string) => {
  const running = from.pod.start(['ping', '-n', '-i', '0.1', to], { timeout: 120_000 });
  return async (): Promise<{ sent: number; lost: number }> => {
    running.kill('SIGINT');
    const { stdout } = await running.outcome;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
    return { sent: Number(sent), lost: Number(sent) - Number(received) };
  };
};

test('no packet is lost while an agent ends, is away and begins again', { timeout: 90_000 }, async () => {
  const [a, b] = await startNodes();
  const [v4 = '', v6 = ''] = b.addresses;
  expect(await ping(a.pod, v4)).toBe(true);
  expect(await ping(a.pod, v6)).toBe(true);
  const ends = [startPing(a, v4), startPing(a, v6)];
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const each of lab.nodes) await each.stopAgent(signal);
    expect(await ping(a.pod, v4)).toBe(true);
    for (const each of lab.nodes) each.startAgent();
    for (const each of lab.nodes) await each.ready();
  }
  // New pods start while the agent is away, too.
  await node.stopAgent();
  const late = await node.addPod('late');
  expect(await ping(late.pod, v4)).toBe(true);
  for (const end of ends) {
    const { sent, lost } = await end();
    expect(sent).toBeGreaterThan(0);
    expect(lost).toBe(0);
  }
});

test('pods reach each other again after the VTEP was deleted', { timeout: 90_000 }, async () => {
  const [a, b] = await startNodes('--sync-interval', '3600');
  const before = await vtepState(node);
  await node.host.exec(['ip', 'link', 'delete', 'pwvxlan1']);
  await waitForVtepState(node, before);
  for (const address of b.addresses) expect(await ping(a.pod, address)).toBe(true);
});

test("a pod's network can be given back while its node waits for the registry", {
  timeout: 90_000,
}, async () => {
  const [a] = await startNodes();
  lab.register('{"nodes": []}');
  await waitUntil('it waits', async () => (await node.health('/readyz'))?.status === 503);
  await node.deletePod(a.name);
  const again = await node.addPod('again');
  expect(again.addresses).toHaveLength(2);
});
