import { describe, expect, test } from 'vitest';
import { planOverlay } from './plan.ts';
import { type OverlayNode, type OverlaySettings, overlayDefaults, type Underlay } from './types.ts';
import { linkLocalOf, vtepMac } from './vtep.ts';

const underlay: Underlay = {
  ...{ device: 'eth0', index: 2, mtu: 1500, address: '198.51.100.1' },
  subnets: ['198.51.100.1/24', '2001:db8::1/64', '203.0.113.1/32'],
};
const settings: OverlaySettings = { ...overlayDefaults, underlay: undefined, mtu: undefined };
const node = (n: number, changes: Partial<OverlayNode> = {}): OverlayNode => ({
  name: `n${n}`,
  addresses: [`198.51.100.${n}`, `2001:db8::${n}`],
  podCIDRs: [`10.244.${n}.0/24`, `fd00:244:${n}::/64`],
  ...changes,
});
const own = node(1);
const plan = (nodes: OverlayNode[], changes: Partial<OverlaySettings> = {}, on = underlay) =>
  planOverlay(own, nodes, { ...settings, ...changes }, on);
const entriesOf = ({ entries }: ReturnType<typeof plan>) => ({
  routes: [...entries.routes.values()].map(({ dst, via, over }) => `${dst} ${via} ${over}`),
  neighbours: Object.fromEntries(entries.neighbours),
  fdb: Object.fromEntries(entries.fdb),
});

describe('this node', () => {
  test('has a VTEP with an address of each family', () => {
    const { vtep, state } = plan([]);
    expect(vtep).toEqual({
      ...{ device: 'pwvxlan1', mac: vtepMac('n1'), mtu: 1450, vni: 1, port: 8472, local: '198.51.100.1' },
      addresses: ['10.244.1.0/32', 'fd00:244:1::/128'],
    });
    expect(state).toEqual({
      ...{ version: 1, node: 'n1', vni: 1, port: 8472, mode: 'vxlan', device: 'pwvxlan1' },
      ...{ mac: vtepMac('n1'), mtu: 1450, podCIDRs: own.podCIDRs, addresses: vtep.addresses },
      underlay: { device: 'eth0', address: '198.51.100.1', mtu: 1500 },
    });
  });

  test('needs a pod prefix, apart from its own address', () => {
    expect(() => planOverlay({ ...own, podCIDRs: [] }, [], settings, underlay)).toThrow(
      'the node "n1" has no pod prefix yet',
    );
    expect(() => planOverlay({ ...own, podCIDRs: ['198.51.0.0/16'] }, [], settings, underlay)).toThrow(
      'the pod prefix 198.51.0.0/16 of the node "n1" contains its underlay address 198.51.100.1',
    );
  });
});

describe('a peer', () => {
  test('is reached by a route for each prefix, and a neighbour and an FDB entry', () => {
    const peer = node(2, { podCIDRs: ['10.244.2.0/24', '10.244.9.0/24', 'fd00:244:2::/64'] });
    const planned = plan([own, peer]);
    const [mac, linkLocal] = [vtepMac('n2'), linkLocalOf(vtepMac('n2'))];
    expect(entriesOf(planned)).toEqual({
      routes: [
        '10.244.2.0/24 10.244.2.0 vtep',
        '10.244.9.0/24 10.244.2.0 vtep',
        `fd00:244:2::/64 ${linkLocal} vtep`,
      ],
      neighbours: { '10.244.2.0': mac, [linkLocal]: mac },
      fdb: { [mac]: '198.51.100.2' },
    });
    expect(planned.peers).toEqual([
      { name: 'n2', address: '198.51.100.2', podCIDRs: peer.podCIDRs, via: 'vxlan' },
    ]);
    expect(planned.skipped).toEqual([]);
  });

  test('is reached by its address of the underlay’s family', () => {
    const planned = plan([node(2)], {}, { ...underlay, address: '2001:db8::1' });
    expect(Object.values(entriesOf(planned).fdb)).toEqual(['2001:db8::2']);
    expect(planned.vtep.mtu).toBe(1430);
  });

  test('in the same subnet is routed directly where the mode says so', () => {
    for (const mode of ['direct', 'cross-subnet'] as const) {
      const planned = plan([node(2)], { mode });
      expect(entriesOf(planned)).toEqual({
        routes: ['10.244.2.0/24 198.51.100.2 underlay', 'fd00:244:2::/64 2001:db8::2 underlay'],
        ...{ neighbours: {}, fdb: {} },
      });
      expect(planned.peers[0]?.via).toBe('direct');
    }
  });

  test('without a next hop of a prefix’s family has that encapsulated, or left out in mode direct', () => {
    const peer = node(2, { addresses: ['198.51.100.2'] });
    const crossed = plan([peer], { mode: 'cross-subnet' });
    expect(entriesOf(crossed).routes).toEqual([
      '10.244.2.0/24 198.51.100.2 underlay',
      `fd00:244:2::/64 ${linkLocalOf(vtepMac('n2'))} vtep`,
    ]);
    expect(entriesOf(crossed).fdb).toEqual({ [vtepMac('n2')]: '198.51.100.2' });
    expect(crossed.peers[0]?.via).toBe('vxlan');
    const direct = plan([peer], { mode: 'direct' });
    expect(direct.peers).toEqual([
      { name: 'n2', address: '198.51.100.2', podCIDRs: ['10.244.2.0/24'], via: 'direct' },
    ]);
    expect(direct.skipped).toEqual([
      {
        name: 'n2',
        reason:
          'it has no IPv6 address within a subnet of the underlay device "eth0", so that fd00:244:2::/64 cannot be routed directly',
      },
    ]);
  });

  test('elsewhere is encapsulated, or left out in mode direct', () => {
    const peer = node(2, { addresses: ['192.0.2.2', '203.0.113.1'] });
    expect(plan([peer], { mode: 'cross-subnet' }).peers[0]?.via).toBe('vxlan');
    expect(plan([peer], { mode: 'direct' }).peers).toEqual([]);
    expect(plan([peer], { mode: 'direct' }).skipped).toHaveLength(2);
  });

  test.for<[string, Partial<OverlayNode>, string]>([
    ['without prefixes', { podCIDRs: [] }, 'it has no pod prefix'],
    [
      'with a prefix of wrong form',
      { podCIDRs: ['10.1.2.3/24'] },
      'its pod prefix 10.1.2.3/24 must be a network address such as 10.1.2.0/24',
    ],
    [
      'without an address of the family',
      { addresses: ['2001:db8::2'] },
      'it has no IPv4 address (2001:db8::2), as the underlay address 198.51.100.1 needs',
    ],
    ['with our address', { addresses: ['198.51.100.1'] }, 'its address 198.51.100.1 is the one of this node'],
    [
      'with our prefix',
      { podCIDRs: ['10.244.0.0/16'] },
      'its pod prefix 10.244.0.0/16 overlaps 10.244.1.0/24 of this node',
    ],
    [
      'in our prefix',
      { addresses: ['10.244.1.9'] },
      'its address 10.244.1.9 is within the pod prefix 10.244.1.0/24 of this node',
    ],
    [
      'around an address of nodes',
      { podCIDRs: ['198.51.0.0/16'] },
      'its pod prefix 198.51.0.0/16 contains the underlay address of this node',
    ],
  ])('%s is skipped, and the others stay', ([, changes, reason]) => {
    const planned = plan([node(2, changes), node(3)]);
    expect(planned.skipped).toEqual([{ name: 'n2', reason }]);
    expect(planned.peers.map(({ name }) => name)).toEqual(['n3']);
  });
});

test('of peers that overlap, the first by name keeps its prefix, in whatever order they come', () => {
  const nodes = [
    node(2),
    node(3, { podCIDRs: ['10.244.2.128/25'] }),
    node(4, { podCIDRs: ['10.0.0.0/8'] }),
    node(5),
  ];
  for (const order of [nodes, nodes.toReversed()]) {
    const { peers, skipped } = plan(order);
    expect(peers.map(({ name }) => name)).toEqual(['n2', 'n5']);
    expect(skipped).toEqual([
      { name: 'n3', reason: 'its pod prefix 10.244.2.128/25 overlaps 10.244.2.0/24 of the node "n2"' },
      { name: 'n4', reason: 'its pod prefix 10.0.0.0/8 overlaps 10.244.1.0/24 of this node' },
    ]);
  }
});

describe('a single address of a peer', () => {
  const routes = (nodes: OverlayNode[]) => entriesOf(plan(nodes)).routes;

  test('has a route of its own, also within a prefix of another node, or of this one', () => {
    const podAddresses = ['10.244.2.7/32', '10.244.1.9/32', 'fd00:244:2::7/128'];
    const planned = plan([own, node(2), node(3, { podAddresses })]);
    expect(planned.skipped).toEqual([]);
    expect(entriesOf(planned).routes).toEqual(
      expect.arrayContaining([
        '10.244.2.0/24 10.244.2.0 vtep',
        '10.244.2.7/32 10.244.3.0 vtep',
        '10.244.1.9/32 10.244.3.0 vtep',
        `fd00:244:2::7/128 ${linkLocalOf(vtepMac('n3'))} vtep`,
      ]),
    );
  });

  test('is not routed away from this node, nor from who comes first', () => {
    const here = { ...own, podAddresses: ['10.244.3.5/32'] };
    const nodes = [
      here,
      node(2, { podAddresses: ['10.244.9.9/32'] }),
      node(3, { podAddresses: ['10.244.9.9/32', '10.244.3.5/32'] }),
    ];
    const planned = planOverlay(here, nodes, settings, underlay);
    expect(planned.skipped).toEqual([
      { name: 'n3', reason: 'its pod address 10.244.9.9/32 is at the node "n2", too' },
      { name: 'n3', reason: 'its pod address 10.244.3.5/32 is at this node, too' },
    ]);
    expect(planned.entries.routes.get('10.244.9.9/32')?.via).toBe('10.244.2.0');
    expect(planned.entries.routes.has('10.244.3.5/32')).toBe(false);
    expect(planned.entries.routes.has('10.244.3.0/24')).toBe(true);
  });

  test.for([
    ['198.51.100.2/32', 'its pod address 198.51.100.2/32 is the underlay address of the node "n2"'],
    ['10.244.2.0/32', 'its pod address 10.244.2.0/32 is that of a VTEP'],
    ['10.244.2.0/25', 'its pod address 10.244.2.0/25 is a whole prefix'],
  ] as const)('%s is refused, and nothing else of the node', ([single, reason]) => {
    const nodes = [node(2), node(3, { podAddresses: [single] })];
    expect(plan(nodes).skipped).toEqual([{ name: 'n3', reason }]);
    expect(routes(nodes)).toEqual(routes([node(2), node(3)]));
  });
});
