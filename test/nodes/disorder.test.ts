import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lackingKernel, lackingTools, skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createCluster, podsOf } from './lab/cluster.ts';
import type { Lab } from './lab/lab.ts';
import { exchanges, podParty, untilReached } from './lab/reach.ts';

// Somebody puts the kernel's tables into disorder; one sync puts them in order again, with pods running.
let lab: Lab;
let inOrder: string;
const lacking = lackingKernel('vxlan', 'ipv6') ?? lackingTools('jq');
beforeEach((context) => skipFor(context, lacking));
beforeAll(async () => {
  if (lacking !== undefined) return;
  lab = await createCluster({ pods: 1, agentArgs: ['--sync-interval', '1'] });
  await untilReached(lab, everybody());
  inOrder = await look();
});
afterAll(() => lab?.dispose());

const everybody = () => exchanges(podsOf(lab).map(podParty), podsOf(lab).map(podParty));

/** Everything of the overlay in n1's kernel, without what comes and goes by itself. */
const look = async (): Promise<string> =>
  (
    await lab.node(1).host.shell(`
ip -d -j link show pwvxlan1 | jq -c '.[0] | [.ifname, .address, .mtu, .flags, .linkinfo.info_data.id, .linkinfo.info_data.port, .linkinfo.info_data.local, .linkinfo.info_data.learning]'
ip -j addr show dev pwvxlan1 | jq -c '[.[0].addr_info[] | select(.scope != "link") | [.local, .prefixlen]]'
ip route show proto 112; ip -6 route show proto 112
ip route show dev pwvxlan1; ip -6 route show dev pwvxlan1 | grep -v -e ^fe80 -e multicast
ip neigh show dev pwvxlan1 nud permanent; bridge fdb show dev pwvxlan1`)
  )
    .split('\n')
    .sort()
    .join('\n');

const peerMac = async (): Promise<string> =>
  (await lab.node(1).host.exec(['ip', '-4', 'neigh', 'show', 'dev', 'pwvxlan1', 'nud', 'permanent'])).split(
    ' ',
  )[2] ?? '';

const disorders: [string, string][] = [
  ['the VTEP is deleted', 'ip link del pwvxlan1'],
  ['the VTEP is down', 'ip link set pwvxlan1 down'],
  ['the VTEP’s MAC is changed', 'ip link set pwvxlan1 address 02:11:22:33:44:55'],
  ['the VTEP’s MTU is changed', 'ip link set pwvxlan1 mtu 1300'],
  [
    'the VTEP is another one’s',
    'ip link del pwvxlan1; ip link add pwvxlan1 type vxlan id 99 dstport 4789 local 198.51.100.1; ip link set pwvxlan1 up',
  ],
  ['the VTEP learns', 'ip link set pwvxlan1 type vxlan learning'],
  ['its addresses are deleted', 'ip addr flush dev pwvxlan1 scope global'],
  ['an address is planted', 'ip addr add 10.9.9.9/32 dev pwvxlan1'],
  ['routes are deleted', 'ip route flush dev pwvxlan1; ip -6 route flush dev pwvxlan1 proto 112'],
  ['a route is planted on the VTEP', 'ip route add 10.99.0.0/24 via 10.244.2.0 dev pwvxlan1 onlink'],
  ['a route of ours is planted elsewhere', 'ip route add 10.98.0.0/24 via 198.51.100.254 proto 112'],
  [
    'a route leads to the wrong peer',
    'ip route replace 10.244.2.0/24 via 10.244.3.0 dev pwvxlan1 onlink proto 112',
  ],
  [
    'a route has another metric too',
    'ip route add 10.244.2.0/24 via 10.244.3.0 dev pwvxlan1 onlink metric 7',
  ],
  [
    'neighbours are deleted',
    'ip neigh flush dev pwvxlan1 nud permanent; ip -6 neigh flush dev pwvxlan1 nud permanent',
  ],
  ['a neighbour is wrong', 'ip neigh replace 10.244.2.0 lladdr 02:00:00:00:00:99 dev pwvxlan1 nud permanent'],
  ['a neighbour is planted', 'ip neigh add 10.97.0.0 lladdr 02:00:00:00:00:98 dev pwvxlan1 nud permanent'],
  [
    'FDB entries are deleted',
    'for mac in $(bridge fdb show dev pwvxlan1 | cut -d" " -f1); do bridge fdb del $mac dev pwvxlan1; done',
  ],
  [
    'an FDB entry leads to the wrong node',
    'bridge fdb replace $MAC dev pwvxlan1 dst 198.51.100.99 self permanent',
  ],
  [
    'an FDB entry has a second destination',
    'bridge fdb append $MAC dev pwvxlan1 dst 198.51.100.99 self permanent || true; bridge fdb add 02:00:00:00:00:97 dev pwvxlan1 dst 198.51.100.3 self permanent',
  ],
  ['an FDB entry floods', 'bridge fdb append 00:00:00:00:00:00 dev pwvxlan1 dst 198.51.100.3'],
];

describe('by one sync', () => {
  beforeAll(async () => {
    if (lacking === undefined) await lab.node(1).stopAgent();
  });
  afterAll(async () => {
    if (lacking !== undefined) return;
    lab.node(1).startAgent();
    await lab.node(1).ready();
  });
  test.for(disorders)('%s', async ([, script]) => {
    await lab.node(1).host.shell(script, { env: { PATH: process.env.PATH ?? '', MAC: await peerMac() } });
    expect(await look().catch(() => 'gone')).not.toBe(inOrder);
    await lab.node(1).sync();
    expect(await look()).toBe(inOrder);
    await untilReached(lab, everybody());
  });

  test('what others have made stays', async () => {
    const foreign = [
      '10.96.0.0/24 via 198.51.100.254 dev eth0',
      '10.95.0.0/24 via 198.51.100.254 dev eth0 proto static',
    ];
    for (const route of foreign) await lab.node(1).host.shell(`ip route add ${route}`);
    await lab
      .node(1)
      .host.shell('ip neigh add 198.51.100.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent');
    await lab.node(1).sync();
    const routes = await lab.node(1).host.exec(['ip', 'route', 'show', 'dev', 'eth0']);
    expect(routes).toContain('10.96.0.0/24');
    expect(routes).toContain('10.95.0.0/24');
    expect(await lab.node(1).host.exec(['ip', 'neigh', 'show', 'dev', 'eth0'])).toContain('198.51.100.77');
    expect(await look()).toBe(inOrder);
  });
});

test('killed at any moment of a sync, the next one puts all in order', async () => {
  const node = lab.node(1);
  await node.stopAgent();
  const disturb = () => node.host.shell('ip link del pwvxlan1');
  await disturb();
  const begun = performance.now();
  node.startAgent();
  await node.ready();
  const whole = performance.now() - begun;
  for (const part of [0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]) {
    await node.stopAgent('SIGKILL');
    await disturb().catch(() => {});
    const running = node.startAgent();
    // It is a moment that is wanted here, not an event.
    await Promise.race([running.outcome, sleep(part * whole)]);
    await node.stopAgent('SIGKILL');
    await node.sync();
    expect(await look()).toBe(inOrder);
    node.startAgent();
  }
  await node.ready();
  await untilReached(lab, everybody());
});

describe('by the running agent', () => {
  test.for(disorders.slice(0, 3))('%s', async ([, script]) => {
    await lab.node(1).host.shell(script);
    await waitUntil('all is in order', async () => (await look().catch(() => '')) === inOrder);
    await untilReached(lab, everybody());
  });
});
