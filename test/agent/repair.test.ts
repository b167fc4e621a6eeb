import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lab } from '../nodes/lab/lab.ts';
import type { LabNode } from '../nodes/lab/node.ts';
import { waitUntil } from '../support/wait-until.ts';
import { logLines, metric, requireLab, twoNodes, vtepState, waitForVtepState } from './agent-lab.ts';

let lab: Lab;
let node: LabNode;
beforeEach(async (context) => {
  requireLab(context);
  lab = await twoNodes();
  node = lab.node(1);
});
afterEach(() => lab?.dispose());

/** While the agent stands still, so that it does not mend in the middle of it; returns what was to be seen then. */
const damageAt = async (pid: number, damage: string): Promise<string> => {
  process.kill(pid, 'SIGSTOP');
  await node.host.shell(damage);
  const state = await vtepState(node).catch(() => '');
  process.kill(pid, 'SIGCONT');
  return state;
};

// Far longer than a test waits: what is put in order was told by the kernel, not found by the timer.
const slow = ['--sync-interval', '3600'];

describe('the kernel tells of it', () => {
  test.for([
    ['the VTEP is deleted', 'ip link delete pwvxlan1'],
    ['its MAC is changed', 'ip link set pwvxlan1 address 02:00:00:00:00:99'],
    ['its MTU is changed', 'ip link set pwvxlan1 mtu 1280'],
    ['it is taken down', 'ip link set pwvxlan1 down'],
    ['it is taken down and up', 'ip link set pwvxlan1 down; ip link set pwvxlan1 up'],
    ['its address is taken', 'ip addr flush dev pwvxlan1'],
    [
      'it is another device of that name',
      'ip link delete pwvxlan1; ip link add pwvxlan1 type vxlan id 99 dstport 4789',
    ],
  ] as const)('%s', async ([, damage]) => {
    const { pid } = node.startAgent(slow);
    await node.ready();
    const before = await vtepState(node);
    expect(await damageAt(pid, damage)).not.toBe(before);
    await waitForVtepState(node, before);
  });

  test("the underlay's MTU and address change", async () => {
    node.startAgent(slow);
    await node.ready();
    const { mtu } = node.state();
    await node.host.exec(['ip', 'link', 'set', 'eth0', 'mtu', '1400']);
    await waitUntil('the MTU follows', () => node.state().mtu === mtu - 100);
    expect(await vtepState(node)).toContain(`mtu ${mtu - 100}`);
    expect(await metric(node, 'podwire_agent_mtu_bytes')).toBe(mtu - 100);
    // The node is registered with an address that it has lost: the next best of its underlay takes its place.
    await node.host.shell('ip addr del 198.51.100.1/24 dev eth0; ip addr add 198.51.100.77/24 dev eth0');
    await waitUntil(
      'the VTEP sends from another address',
      () => node.state().underlay.address !== '198.51.100.1',
    );
    lab.register([{ ...node.entry, addresses: ['198.51.100.77'] }, lab.node(2).entry]);
    await waitUntil('it sends from the registered address', async () =>
      /local 198\.51\.100\.77 /.test(await vtepState(node)),
    );
  });

  test('also after ip monitor was killed', async () => {
    const { pid } = node.startAgent(slow);
    await node.ready();
    const before = await vtepState(node);
    const child = async (): Promise<string> =>
      (await node.host.attempt(['pgrep', '-P', `${pid}`, '-x', 'ip'])).stdout.trim();
    const first = await child();
    expect(first).toMatch(/^\d+$/);
    process.kill(Number(first), 'SIGKILL');
    await node.host.exec(['ip', 'link', 'delete', 'pwvxlan1']);
    await waitForVtepState(node, before);
    await waitUntil('it runs again', async () => /^\d+$/.test(await child()) && (await child()) !== first);
    await node.host.exec(['ip', 'link', 'delete', 'pwvxlan1']);
    await waitForVtepState(node, before);
  });
});

describe('the timer finds it', () => {
  test.for([
    ['routes are deleted', 'ip route flush proto 112; ip -6 route flush proto 112'],
    [
      'the FDB and the neighbours are emptied',
      'bridge fdb flush dev pwvxlan1 2>/dev/null || bridge fdb show dev pwvxlan1 | while read -r mac rest; do bridge fdb del "$mac" dev pwvxlan1; done; ip neigh flush dev pwvxlan1 nud permanent',
    ],
    [
      'entries of ours are planted',
      'ip route add 10.99.0.0/24 via 10.244.2.0 dev pwvxlan1 onlink proto 112; ip neigh add 10.99.0.1 lladdr 02:00:00:00:00:07 dev pwvxlan1 nud permanent; bridge fdb append 02:00:00:00:00:07 dev pwvxlan1 dst 198.51.100.9',
    ],
  ] as const)('%s', async ([, damage]) => {
    const { pid } = node.startAgent(['--sync-interval', '1']);
    await node.ready();
    const before = await vtepState(node);
    expect(await damageAt(pid, damage)).not.toBe(before);
    await waitForVtepState(node, before);
  });

  test('the packet filter is flushed', async () => {
    node.startAgent(['--sync-interval', '1']);
    await node.ready();
    const table = (): Promise<string> => node.host.exec(['nft', 'list', 'table', 'inet', 'podwire_overlay1']);
    const before = await table();
    await node.host.exec(['nft', 'flush', 'ruleset']);
    await waitUntil('the table is back', async () => (await table().catch(() => '')) === before);
    await node.host.shell('nft flush set inet podwire_overlay1 excluded4');
    await waitUntil('its sets are full again', async () => (await table()) === before);
  });
});

test('a failure is told once, with its end, and a sync then succeeds', async () => {
  const agent = node.startAgent(['--sync-interval', '1']);
  await node.ready();
  const before = await vtepState(node);
  // A device is in the way that is no VTEP.
  await damageAt(agent.pid, 'ip link delete pwvxlan1; ip link add pwvxlan1 type bridge');
  await waitUntil('syncs fail', async () => (await node.health('/readyz'))?.status === 503);
  await waitUntil('several have', async () => {
    return ((await metric(node, 'podwire_agent_syncs_total{result="failure"}')) ?? 0) >= 3;
  });
  await node.host.exec(['ip', 'link', 'delete', 'pwvxlan1']);
  await waitForVtepState(node, before);
  await node.ready();
  await node.stopAgent();
  const lines = logLines(await agent.outcome);
  expect(lines.filter(({ msg }) => msg === 'the sync failed')).toMatchObject([{ code: 103, level: 'error' }]);
  expect(lines.filter(({ msg }) => msg === 'the sync works again')).toHaveLength(1);
});
