import type { LinkState } from '../../shared/kernel/link.ts';
import type { RouteState } from '../../shared/kernel/route.ts';
import type { NodeState, PeerState } from '../../shared/overlay/types.ts';
import type { TopologyOverlay } from './model.ts';

/** What the kernel has, of all that matters for an overlay. */
export interface KernelView {
  links: LinkState[];
  routes: RouteState[];
  /** Of the VTEP, in CIDR notation. */
  vtepAddresses: string[];
}

/** An overlay as the last sync left it, with what the kernel has otherwise since. Pure. */
export const compareWithKernel = (
  node: NodeState,
  peers: PeerState[],
  kernel: KernelView,
): TopologyOverlay => {
  const { vni, port, mode, device, mac, mtu, addresses, underlay, podCIDRs } = node;
  return {
    vni,
    port,
    mode,
    device,
    mac,
    mtu,
    addresses,
    underlay,
    podCIDRs,
    peers: peers.map((peer) => ({ ...peer, problems: routeProblems(node, peer, kernel) })),
    problems: vtepProblems(node, kernel),
  };
};

const vtepProblems = (node: NodeState, { links, vtepAddresses }: KernelView): string[] => {
  const vtep = links.find(({ name }) => name === node.device);
  if (vtep === undefined) return [`${node.device} is gone`];
  const missing = node.addresses.filter((address) => !vtepAddresses.includes(address));
  return [
    ...(vtep.kind === 'vxlan' ? [] : [`${node.device} is no VXLAN device`]),
    ...(vtep.up ? [] : [`${node.device} is down`]),
    ...(vtep.mac === node.mac ? [] : [`${node.device} has the MAC ${vtep.mac} instead of ${node.mac}`]),
    ...(vtep.mtu === node.mtu ? [] : [`${node.device} has the MTU ${vtep.mtu} instead of ${node.mtu}`]),
    ...missing.map((address) => `${node.device} lacks the address ${address}`),
  ];
};

const routeProblems = (node: NodeState, peer: PeerState, { links, routes }: KernelView): string[] => {
  const device = peer.via === 'vxlan' ? node.device : node.underlay.device;
  const index = links.find(({ name }) => name === device)?.index;
  return peer.podCIDRs
    .filter((prefix) => {
      const there = routes.filter(({ dst, linkIndex }) => dst === prefix && linkIndex === index);
      return index === undefined || there.length === 0;
    })
    .map((prefix) => `no route to ${prefix} by ${device}`);
};
