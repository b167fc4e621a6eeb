import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Topology } from '../model.ts';
import { sampleTopology } from '../sample.ts';
import { layOutTopology } from './layout.ts';
import { labelBounds, labelWidth, type Rectangle, type Scene } from './scene.ts';
import { renderSvg } from './svg.ts';
import { elementsOf } from './xml.fixture.ts';

const overlap = (a: Rectangle, b: Rectangle): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

const inside = (inner: Rectangle, outer: Rectangle): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height;

/** The faults that a reader of the picture would see. */
const faultsOf = (scene: Scene): string[] => {
  const labels = scene.labels.map((label) => ({ ...label, bounds: labelBounds(label) }));
  const page = { x: 0, y: 0, width: scene.width, height: scene.height };
  const faults: string[] = [];
  for (const [index, { text, bounds }] of labels.entries()) {
    if (!inside(bounds, page)) faults.push(`"${text}" is outside of the picture`);
    for (const other of labels.slice(index + 1)) {
      if (overlap(bounds, other.bounds)) faults.push(`"${text}" overlaps "${other.text}"`);
    }
    for (const box of scene.boxes) {
      if (overlap(bounds, box) && !inside(bounds, box)) faults.push(`"${text}" crosses the edge of a box`);
    }
    for (const [line, { points }] of scene.lines.entries()) {
      for (const [from, to] of points
        .slice(1)
        .map((point, before) => [points[before] ?? point, point] as const)) {
        const segment = {
          x: Math.min(from[0], to[0]),
          y: Math.min(from[1], to[1]),
          width: Math.abs(from[0] - to[0]) + 0.01,
          height: Math.abs(from[1] - to[1]) + 0.01,
        };
        const own = labels[index]?.onLine && segment.width > 1 && Math.abs(segment.y - (bounds.y + 5.6)) < 1;
        if (overlap(bounds, segment) && !own) faults.push(`line ${line} runs through "${text}"`);
      }
    }
  }
  return faults;
};

test.for<[string, Topology]>([
  ['three nodes of three pods', sampleTopology()],
  ['one of three nodes', sampleTopology({ seen: 1 })],
  ['fifty peers', sampleTopology({ nodes: 51, seen: 1, direct: (_, b) => b % 3 === 0 })],
  ['fifty nodes', sampleTopology({ nodes: 50 })],
  ['a node with many pods', sampleTopology({ nodes: 2, pods: 110 })],
  ['a host without overlay', { version: 1, nodes: [{ name: 'host', overlays: [], pods: [] }] }],
  ['nothing', { version: 1, nodes: [] }],
])('%s: every label is legible', ([, topology]) => {
  expect(faultsOf(layOutTopology(topology))).toEqual([]);
});

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ minLength: 1, maxLength: 60 }),
  fc.stringMatching(/^[a-z0-9.-]{1,60}$/),
);
const address = fc.oneof(fc.ipV4(), fc.ipV6());
const problems = fc.oneof(fc.array(text, { maxLength: 0 }), fc.array(text, { maxLength: 7 }));
const name = fc.oneof(fc.constantFrom('n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8', 'n9', 'n10'), text);
const peer = fc.record({
  name,
  address,
  podCIDRs: fc.array(address, { maxLength: 3 }),
  via: fc.constantFrom('vxlan' as const, 'direct' as const),
  problems,
});
const overlay = fc.record({
  vni: fc.integer({ min: 1, max: 16_777_215 }),
  port: fc.integer({ min: 1, max: 65_535 }),
  mode: fc.constantFrom('vxlan' as const, 'direct' as const, 'cross-subnet' as const),
  device: text,
  mac: text,
  mtu: fc.nat(65_535),
  addresses: fc.array(address, { maxLength: 3 }),
  underlay: fc.record({ device: text, address, mtu: fc.nat(65_535) }),
  podCIDRs: fc.array(address, { maxLength: 3 }),
  peers: fc.array(peer, { maxLength: 12 }),
  problems,
});
const pod = fc.record({
  containerId: text,
  network: text,
  plugin: text,
  interface: text,
  hostInterface: text,
  addresses: fc.array(address, { maxLength: 3 }),
  problems,
});
const topologies = fc.record({
  version: fc.constant(1 as const),
  nodes: fc.uniqueArray(
    fc.record({
      name,
      overlays: fc.array(overlay, { maxLength: 2 }),
      pods: fc.array(pod, { maxLength: 12 }),
    }),
    { selector: (node) => node.name, maxLength: 9 },
  ),
});

test('whatever the nodes say, no label is on another, on an edge or under a line, and the XML is well-formed', () => {
  fc.assert(
    fc.property(topologies, (topology) => {
      const scene = layOutTopology(topology);
      expect(faultsOf(scene)).toEqual([]);
      const texts = elementsOf(renderSvg(scene)).filter(({ name }) => name === 'text');
      expect(texts.map(({ content }) => content)).toEqual(scene.labels.map(({ text }) => text));
    }),
    { numRuns: 150 },
  );
});

test('every pod, address and link of a small cluster is in the picture', () => {
  const topology = sampleTopology({ direct: (a, b) => a + b === 3 });
  const scene = layOutTopology(topology);
  const texts = scene.labels.map(({ text }) => text);
  for (const { name, overlays, pods } of topology.nodes) {
    expect(texts).toContain(name);
    for (const { containerId, addresses } of pods)
      expect(texts).toEqual(expect.arrayContaining([containerId, ...addresses]));
    for (const { underlay, device, addresses } of overlays)
      expect(texts).toEqual(expect.arrayContaining([underlay.address, `VTEP ${device}`, ...addresses]));
  }
  expect(scene.lines.filter(({ points }) => points.length === 4).map(({ look }) => look)).toEqual([
    'direct',
    'vxlan',
    'vxlan',
  ]);
  expect(texts.filter((each) => each === 'direct')).toHaveLength(1);
  expect(texts.filter((each) => each === 'vxlan')).toHaveLength(2);
});

test('fifty peers are condensed to a picture that fits a screen', () => {
  const { width, height, labels } = layOutTopology(
    sampleTopology({ nodes: 51, seen: 1, direct: (_, b) => b < 4 }),
  );
  expect(labels.map(({ text }) => text)).toEqual(
    expect.arrayContaining(['vxlan to 48', 'direct to 2', 'n51']),
  );
  expect(width).toBeLessThan(1500);
  expect(height).toBeLessThan(1200);
});

test('a broken link, pod and VTEP are shown as such', () => {
  const topology = sampleTopology();
  topology.nodes[0]?.overlays[0]?.peers[0]?.problems.push('no route to 10.244.2.0/24 by pwvxlan1');
  topology.nodes[1]?.pods[0]?.problems.push('its host interface is gone');
  topology.nodes[2]?.overlays[0]?.problems.push('pwvxlan1 is down');
  const { lines, labels, boxes } = layOutTopology(topology);
  expect(lines.filter(({ points }) => points.length === 4).map(({ look }) => look)).toEqual([
    'broken',
    'broken',
    'broken',
  ]);
  expect(labels.filter(({ look }) => look === 'problem').map(({ text }) => text)).toEqual([
    'its host interface is gone',
    'pwvxlan1 is down',
  ]);
  expect(boxes.filter(({ look }) => look === 'faulty')).toHaveLength(2);
});

test('a text too long for its box keeps its begin and end', () => {
  const topology = sampleTopology({ nodes: 1, pods: 1 });
  const [first] = topology.nodes[0]?.pods ?? [];
  if (first !== undefined) first.containerId = `begin-${'x'.repeat(200)}-end`;
  const label = layOutTopology(topology).labels.find(({ text: each }) => each.startsWith('begin-'));
  expect(label?.text).toMatch(/^begin-x+….*-end$/);
  expect(labelWidth(label?.text ?? '', 'strong')).toBeLessThanOrEqual(300);
});
