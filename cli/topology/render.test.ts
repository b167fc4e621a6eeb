import { describe, expect, test } from 'vitest';
import { vtepMac } from '../../shared/overlay/vtep.ts';
import { plainStyle } from '../terminal.ts';
import { clusterOf, mergeTopologies } from './cluster.ts';
import { compareWithKernel, type KernelView } from './compare.ts';
import { parseTopology } from './parse.ts';
import { renderTopology } from './render.ts';
import { sampleTopology } from './sample.ts';

test('a node as text', () => {
  const topology = sampleTopology({ seen: 1, direct: (_, b) => b === 3 });
  topology.nodes[0]?.overlays[0]?.peers[1]?.problems.push('no route to 10.244.3.0/24 by eth0');
  expect(renderTopology(topology, 80, plainStyle)).toBe(`\
n1  198.51.100.1  on eth0, MTU 1500
├─ podwire   vxlan, 3 pods
│  ├─ web-1-1  10.244.1.2  fd00:244:1::2  eth0 ↔ pw10c0ffee42
│  ├─ web-1-2  10.244.1.3  fd00:244:1::3  eth0 ↔ pw11c0ffee42
│  └─ web-1-3  10.244.1.4  fd00:244:1::4  eth0 ↔ pw12c0ffee42
└─ pwvxlan1  VNI 1, UDP 8472, MTU 1450, vxlan
   ├─ VTEP  0a:58:00:00:00:01  10.244.1.0/32  fd00:244:1::/128
   ├─ pods  10.244.1.0/24      fd00:244:1::/64
   └─ 2 peers
      ├─ n2  vxlan   198.51.100.2  10.244.2.0/24  fd00:244:2::/64
      └─ n3  direct  198.51.100.3  10.244.3.0/24  fd00:244:3::/64
         └─ ✗ no route to 10.244.3.0/24 by eth0
`);
});

test.for([40, 60, 80, 120])('lines are not longer than %d columns', (width) => {
  const topology = sampleTopology({ nodes: 60 });
  const [first] = topology.nodes[0]?.pods ?? [];
  first?.addresses.push('2001:db8:1:2:3:4:5:6');
  const lines = renderTopology(topology, width, plainStyle).split('\n');
  // The words after the VTEP's name are one cell.
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(Math.max(width, 52));
  expect(lines.join('\n')).toContain('2001:db8:1:2:3:4:5:6');
});

test('what a file says cannot move the cursor', () => {
  const topology = sampleTopology({ nodes: 1, pods: 1 });
  const [pod] = topology.nodes[0]?.pods ?? [];
  if (pod !== undefined) pod.containerId = 'a\u001b[2Jb\nc\u202ed';
  expect(renderTopology(topology, 80, plainStyle)).toContain('a�[2Jb�c�d');
});

test('the accounts of several nodes are one cluster', () => {
  const { nodes } = sampleTopology({ nodes: 11, direct: (a, b) => a + b === 3 });
  const merged = mergeTopologies(nodes.toReversed().map((node) => ({ version: 1, nodes: [node] })));
  expect(merged.nodes.map(({ name }) => name)).toEqual(nodes.map(({ name }) => name));
  const { links } = clusterOf(merged);
  expect(links).toHaveLength(55);
  expect(links.filter(({ via }) => via === 'direct')).toEqual([
    { ends: [0, 1], vni: 1, port: 8472, via: 'direct', problems: [] },
  ]);
  expect(() => mergeTopologies([merged, merged])).toThrow('two of the files are of node n1');
});

test('two nodes that tell differently of their link', () => {
  const topology = sampleTopology({ nodes: 2, direct: (a) => a === 1 });
  expect(clusterOf(topology).links).toMatchObject([{ via: 'mixed' }]);
});

test.for<[string, string, number]>([
  ['{', 'n1.json is not valid JSON', 6],
  ['[]', 'n1.json is no topology: it is not an object', 7],
  ['{"version":2}', 'n1.json is no topology: "version" is 2, not 1', 7],
  ['{"version":1,"nodes":[{"name":"a","overlays":[],"pods":{}}]}', 'nodes[0].pods is no list', 7],
  [
    '{"version":1,"nodes":[{"name":"a","overlays":[{"vni":"1"}],"pods":[]}]}',
    'overlays[0].vni is no number',
    7,
  ],
])('%s is refused', ([text, message, code]) => {
  expect(() => parseTopology(text, 'n1.json')).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) }),
  );
});

test('what was printed is read again', () => {
  const topology = sampleTopology();
  expect(parseTopology(JSON.stringify(topology), 'x')).toEqual(topology);
});

describe('the kernel is compared with what the last sync left', () => {
  const [overlay] = sampleTopology({ nodes: 3, direct: (_, b) => b === 3 }).nodes[0]?.overlays ?? [];
  if (overlay === undefined) throw new Error('the sample has no overlay');
  const { peers, problems: _, ...rest } = overlay;
  const node = { version: 1 as const, node: 'n1', ...rest };
  const [vtep, underlay] = [7, 2];
  const mac = vtepMac('n2');
  const route = (dst: string, linkIndex: number, gateway: string) => ({
    ...{ dst, linkIndex, gateway, table: 254, scope: 0, protocol: 112, onlink: true },
  });
  const neighbour = (address: string) => ({ address, mac, state: 0x80, flags: 0 });
  const view: KernelView = {
    vtepProblems: [],
    vtep,
    underlay,
    routes: [
      route('10.244.2.0/24', vtep, '10.244.2.0'),
      route('fd00:244:2::/64', vtep, 'fe80::2'),
      route('10.244.3.0/24', underlay, '198.51.100.3'),
      route('fd00:244:3::/64', underlay, '2001:db8::3'),
    ],
    neighbours: [neighbour('10.244.2.0'), neighbour('fe80::2')],
    fdb: [{ mac, dst: '198.51.100.2', state: 0x80, flags: 2 }],
  };
  const problemsWith = (change: Partial<KernelView>): string[] => {
    const seen = compareWithKernel(node, peers, { ...view, ...change });
    return [...seen.problems, ...seen.peers.flatMap(({ problems }) => problems)];
  };

  test.for<[string, Partial<KernelView>, string[]]>([
    ['in order', {}, []],
    ['the VTEP is down', { vtepProblems: ['it is down'] }, ['pwvxlan1: it is down']],
    [
      'the VTEP is gone, with all that was on it',
      {
        vtepProblems: ['the device is missing'],
        vtep: undefined,
        neighbours: [],
        fdb: [],
        routes: view.routes.slice(2),
      },
      ['pwvxlan1: the device is missing'],
    ],
    [
      'routes are missing',
      { routes: view.routes.slice(1, 3) },
      ['no route to 10.244.2.0/24 by pwvxlan1', 'no route to fd00:244:3::/64 by eth0'],
    ],
    [
      'one family is routed directly',
      { routes: [route('10.244.2.0/24', underlay, '198.51.100.2'), ...view.routes.slice(1)] },
      [],
    ],
    [
      'another one’s route is in the way',
      {
        routes: [
          { ...route('10.244.2.0/24', underlay, '198.51.100.2'), protocol: 4 },
          ...view.routes.slice(1),
        ],
      },
      ['no route to 10.244.2.0/24 by pwvxlan1'],
    ],
    [
      'a neighbour entry is wrong',
      { neighbours: [{ ...neighbour('10.244.2.0'), mac: '02:00:00:00:00:01' }, neighbour('fe80::2')] },
      [`no neighbour entry that leads 10.244.2.0 to ${mac}`],
    ],
    [
      'the FDB entry leads elsewhere',
      { fdb: [{ mac, dst: '198.51.100.9', state: 0x80, flags: 2 }] },
      [`no FDB entry that leads ${mac} to 198.51.100.2`],
    ],
  ])('%s', ([, change, problems]) => {
    expect(problemsWith(change)).toEqual(problems);
  });
});
