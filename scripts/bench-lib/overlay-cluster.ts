import type { OverlayNode } from '../../shared/overlay/types.ts';

/** This node, which has that address on its underlay. */
export const ownNode: OverlayNode = {
  name: 'node-0',
  addresses: ['198.18.0.1'],
  podCIDRs: ['10.0.0.0/24', 'fd00:244::/64'],
};

/** The underlay's prefix: the one for benchmarks (RFC 2544). */
export const underlayAddress = '198.18.0.1/15';

/** A cluster of this node and `peers` others, each with a prefix of both families; at most 30,000. */
export const clusterOf = (peers: number): OverlayNode[] => [
  ownNode,
  ...Array.from({ length: peers }, (_, index) => peerAt(index + 1)),
];

const peerAt = (n: number): OverlayNode => ({
  name: `node-${n}`,
  addresses: [peerAddress(n)],
  podCIDRs: [`10.${n >> 8}.${n & 255}.0/24`, `fd00:244:0:${n.toString(16)}::/64`],
});

/** The address of a peer; a `generation` other than 0 gives it another. */
export const peerAddress = (n: number, generation = 0): string =>
  generation === 0 ? `198.18.${(n >> 8) + 1}.${n & 255}` : `198.19.${generation >> 8}.${generation & 255}`;
