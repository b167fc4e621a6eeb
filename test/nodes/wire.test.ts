import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireKernel } from '../support/needs.ts';
import { requireCapture, startCapture } from './lab/capture.ts';
import { createCluster, podsOf } from './lab/cluster.ts';
import { type Frame, parseVxlan } from './lab/frames.ts';
import type { Lab } from './lab/lab.ts';
import type { LabPod } from './lab/node.ts';
import { exchanges, faults, podParty } from './lab/reach.ts';

// What goes over the nodes' wire, seen at the switch.
let lab: Lab | undefined;
beforeEach((context) => requireKernel(context, 'vxlan', 'ipv6'));
afterEach(() => lab?.dispose());

const podOf = (of: Lab, number: number): LabPod => {
  const [pod] = of.node(number).pods;
  if (pod === undefined) throw new Error(`n${number} has no pod`);
  return pod;
};

/** All frames at n1's port of the switch while n1's pod and another's talk. */
const framesBetween = async (of: Lab, other: number): Promise<Frame[]> => {
  const parties = [podOf(of, 1), podOf(of, other)].map(podParty);
  const capture = await startCapture(of, 1, 'ip or ip6');
  expect(await faults(of, exchanges(parties, parties))).toEqual([]);
  return capture.stop();
};

const isVxlan = ({ udp }: Frame, port = 8472): boolean => udp?.destinationPort === port;

/** Frames in which a pod's address is not wrapped up. */
const plain = (frames: Frame[]): Frame[] =>
  frames.filter(({ source, destination }) =>
    [source, destination].some((address) => /^(10\.244|fd00:244)/.test(address)),
  );

test.for([
  { vni: 1, port: 8472, underlay: 'ipv4' as const },
  { vni: 4096, port: 4789, underlay: 'ipv4' as const },
  { vni: 16_777_215, port: 8472, underlay: 'ipv6' as const },
])('standard VXLAN: VNI $vni, port $port, over $underlay', async ({ vni, port, underlay }, context) => {
  requireCapture(context);
  const agentArgs = ['--vni', String(vni), '--port', String(port)];
  lab = await createCluster({ segments: [0, 0], pods: 1, underlay, agentArgs, vni });
  const [n1, n2] = [lab.node(1), lab.node(2)];
  const frames = await framesBetween(lab, 2);
  expect(plain(frames)).toEqual([]);
  const packets = frames.filter((frame) => isVxlan(frame, port)).map(parseVxlan);
  const [one, two] = [n1, n2].map((node) => ({ mac: node.state(vni).mac, address: node.entry.addresses[0] }));
  expect(packets.length).toBeGreaterThan(20);
  for (const { outer, inner, ...header } of packets) {
    // RFC 7348: the I flag, all else zero.
    expect(header).toEqual({ flags: 0x08, reserved: 0, vni });
    const outward = outer.source === one?.address;
    const [from, to] = outward ? [one, two] : [two, one];
    expect({ source: outer.source, destination: outer.destination }).toEqual({
      source: from?.address,
      destination: to?.address,
    });
    expect({ source: inner?.sourceMac, destination: inner?.destinationMac }).toEqual({
      source: from?.mac,
      destination: to?.mac,
    });
    expect(outer.fragment).toBe(false);
  }
  // Both families of pods, both protocols, both directions; the pods' own addresses on the inside.
  const inside = new Set(
    packets.map(({ inner }) => `${inner?.source} ${inner?.destination} ${inner?.protocol}`),
  );
  const [a, b] = [podOf(lab, 1), podOf(lab, 2)];
  for (const [index, source] of a.addresses.entries()) {
    for (const protocol of [6, 17]) {
      expect(inside).toContain(`${source} ${b.addresses[index]} ${protocol}`);
      expect(inside).toContain(`${b.addresses[index]} ${source} ${protocol}`);
    }
  }
  // Flows are spread over paths by the source port.
  expect(new Set(packets.map(({ outer }) => outer.udp?.sourcePort)).size).toBeGreaterThan(2);
});

test('tcpdump, which knows port 4789, reads them as VXLAN', async (context) => {
  requireCapture(context);
  lab = await createCluster({
    segments: [0, 0],
    pods: 1,
    agentArgs: ['--vni', '77', '--port', '4789'],
    vni: 77,
  });
  const frames = await framesBetween(lab, 2);
  expect(frames.length).toBeGreaterThan(0);
  const text = await lab.switch.exec(['tcpdump', '-n', '-r', '/run/n1.pcap', 'udp port 4789']);
  const [first] = podOf(lab, 2).addresses;
  expect(text).toContain('VXLAN, flags [I] (0x08), vni 77');
  expect(text).toMatch(new RegExp(`IP 10\\.244\\.1\\.\\d+\\.\\d+ > ${first?.replaceAll('.', '\\.')}\\.7007`));
});

test('cross-subnet: direct within a segment, encapsulated to the other', async (context) => {
  requireCapture(context);
  lab = await createCluster({ segments: [0, 0, 1], pods: 1, agentArgs: ['--mode', 'cross-subnet'] });
  const pods = podsOf(lab).map(podParty);
  expect(await faults(lab, exchanges(pods, pods))).toEqual([]);
  expect(
    lab
      .node(1)
      .peers()
      .map(({ name, via }) => [name, via]),
  ).toEqual([
    ['n2', 'direct'],
    ['n3', 'vxlan'],
  ]);
  expect(
    lab
      .node(3)
      .peers()
      .map(({ via }) => via),
  ).toEqual(['vxlan', 'vxlan']);
  const near = await framesBetween(lab, 2);
  expect(near.filter((frame) => isVxlan(frame))).toEqual([]);
  expect(plain(near).length).toBeGreaterThan(20);
  const far = await framesBetween(lab, 3);
  expect(plain(far)).toEqual([]);
  expect(far.filter((frame) => isVxlan(frame)).length).toBeGreaterThan(20);
});

test('direct: nothing is encapsulated', async (context) => {
  requireCapture(context);
  lab = await createCluster({ segments: [0, 0], pods: 1, agentArgs: ['--mode', 'direct'] });
  const frames = await framesBetween(lab, 2);
  expect(frames.filter((frame) => isVxlan(frame))).toEqual([]);
  expect(plain(frames).length).toBeGreaterThan(20);
});
