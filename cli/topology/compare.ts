import { type PresentEntries, ROUTE_PROTOCOL } from '../../shared/overlay/entries.ts';
import type { NodeState, PeerState } from '../../shared/overlay/types.ts';
import { vtepMac } from '../../shared/overlay/vtep.ts';
import type { TopologyOverlay } from './model.ts';

/** What the kernel has of an overlay. */
export interface KernelView extends PresentEntries {
  /** What is wrong with the VTEP itself. */
  vtepProblems: string[];
  /** Interface indices; undefined when there is no such device. */
  vtep: number | undefined;
  underlay: number | undefined;
}

/** An overlay as the last sync left it, with how the kernel differs since. Pure. */
export const compareWithKernel = (
  node: NodeState,
  peers: PeerState[],
  kernel: KernelView,
): TopologyOverlay => {
  const { version: _, node: __, ...state } = node;
  return {
    ...state,
    peers: peers.map((peer) => ({ ...peer, problems: peerProblems(node, peer, kernel) })),
    problems: kernel.vtepProblems.map((problem) => `${node.device}: ${problem}`),
  };
};

const peerProblems = (node: NodeState, peer: PeerState, kernel: KernelView): string[] => {
  // Without the VTEP all of that is missing.
  if (peer.via === 'vxlan' && kernel.vtep === undefined) return [];
  const device = peer.via === 'vxlan' ? node.device : node.underlay.device;
  const unrouted = peer.podCIDRs.filter((prefix) => !isRouted(prefix, peer, kernel));
  return [
    ...unrouted.map((prefix) => `no route to ${prefix} by ${device}`),
    ...(peer.via === 'vxlan' ? encapsulationProblems(peer, kernel) : []),
  ];
};

/** Of a peer that is reached by the VTEP, one family may be routed directly. */
const isRouted = (prefix: string, { via }: PeerState, { routes, vtep, underlay }: KernelView): boolean =>
  routes.some(
    ({ dst, linkIndex, protocol }) =>
      dst === prefix &&
      linkIndex !== undefined &&
      ((via === 'vxlan' && linkIndex === vtep) || (linkIndex === underlay && protocol === ROUTE_PROTOCOL)),
  );

const encapsulationProblems = (
  { name, address, podCIDRs }: PeerState,
  { routes, neighbours, fdb, vtep }: KernelView,
): string[] => {
  const mac = vtepMac(name);
  const gateways = new Set(
    routes
      .filter(({ dst, linkIndex }) => linkIndex === vtep && podCIDRs.includes(dst))
      .flatMap(({ gateway }) => gateway ?? []),
  );
  const unresolved = [...gateways].filter(
    (gateway) => !neighbours.some((entry) => entry.address === gateway && entry.mac === mac),
  );
  return [
    ...unresolved.map((gateway) => `no neighbour entry that leads ${gateway} to ${mac}`),
    ...(fdb.some((entry) => entry.mac === mac && entry.dst === address)
      ? []
      : [`no FDB entry that leads ${mac} to ${address}`]),
  ];
};
