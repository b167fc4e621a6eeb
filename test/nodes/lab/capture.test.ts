import { afterEach, expect, test } from 'vitest';
import { requireKernel, requireTool } from '../../support/needs.ts';
import { requireCapture, startCapture } from './capture.ts';
import { parseVxlan } from './frames.ts';
import { createLab, type Lab } from './lab.ts';

// The capture's reader, held against VXLAN devices that were set up by hand.
let lab: Lab | undefined;
afterEach(() => lab?.dispose());

test.for(['ipv4', 'ipv6'] as const)(
  'VXLAN frames over %s are read as what they are',
  async (underlay, context) => {
    requireCapture(context);
    requireTool(context, 'ping');
    requireKernel(context, 'vxlan');
    lab = await createLab({ segments: [0, 0], underlay });
    const [a, b] = [lab.node(1), lab.node(2)];
    for (const [node, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      await node.host.shell(`
ip link add vx type vxlan id 4660 dstport 4789 local ${node.entry.addresses[0]} remote ${peer.entry.addresses[0]}
ip link set vx address 02:00:00:00:00:0${node.number} up
ip addr add 10.1.0.${node.number}/24 dev vx; ip addr add fd01::${node.number}/64 dev vx nodad`);
    }
    const capture = await startCapture(lab, 1, 'udp');
    for (const address of ['10.1.0.2', 'fd01::2'])
      await a.host.exec(['ping', '-n', '-q', '-c', '1', '-s', '100', address]);
    const packets = (await capture.stop()).filter(({ udp }) => udp?.destinationPort === 4789).map(parseVxlan);
    const seen = packets.map(({ outer, inner, ...header }) => ({
      ...header,
      outer: `${outer.source} ${outer.destination}`,
      inner: `${inner?.sourceMac} ${inner?.source} ${inner?.destination} ${inner?.protocol} ${inner?.length}`,
      overhead: outer.length - (inner?.length ?? 0),
      fragment: outer.fragment,
    }));
    const common = {
      flags: 8,
      reserved: 0,
      vni: 4660,
      overhead: underlay === 'ipv4' ? 50 : 70,
      fragment: false,
    };
    const outer = a.entry.addresses.concat(b.entry.addresses);
    expect(seen).toContainEqual({
      ...common,
      outer: outer.join(' '),
      inner: '02:00:00:00:00:01 10.1.0.1 10.1.0.2 1 128',
    });
    expect(seen).toContainEqual({
      ...common,
      outer: outer.toReversed().join(' '),
      inner: '02:00:00:00:00:02 fd01::2 fd01::1 58 148',
    });
  },
);
