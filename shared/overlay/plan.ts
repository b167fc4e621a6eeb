import { CniError, ErrorCode } from '../cni/errors.ts';
import { contains, parseAddress, parseCidr } from '../kernel/address-math.ts';
import { noEntries, type WantedEntries } from './entries.ts';
import { overlayMtu } from './mtu.ts';
import { choosePeers, type Peer } from './peers.ts';
import { planPeer } from './plan-peer.ts';
import type { NodeState, OverlayNode, OverlaySettings, PeerState, SkippedPeer, Underlay } from './types.ts';
import { vtepAddresses, vtepDevice, vtepMac } from './vtep.ts';

/** The VTEP as it must be. */
export interface WantedVtep {
  device: string;
  mac: string;
  /** Bytes. */
  mtu: number;
  vni: number;
  port: number;
  /** What it sends from. */
  local: string;
  /** Host prefixes, such as 10.244.1.0/32. */
  addresses: string[];
}

/** All that a node must have for its peers. */
export interface OverlayPlan {
  state: NodeState;
  vtep: WantedVtep;
  entries: WantedEntries;
  /** By name. */
  peers: PeerState[];
  skipped: SkippedPeer[];
  /** Those that packets may be sent to, by name. */
  chosen: Map<string, Peer>;
  /** Whether some were skipped because of others. */
  conflicts: boolean;
}

/**
 * What must exist on the node `own` for the others among `nodes`. Pure. The same input gives the same plan,
 * in whatever order the nodes come. Throws CniError 7 when the MTU does not fit, 50 when the node has no pod
 * prefix.
 */
export const planOverlay = (
  own: OverlayNode,
  nodes: readonly OverlayNode[],
  settings: OverlaySettings,
  underlay: Underlay,
): OverlayPlan => {
  if (own.podCIDRs.length === 0) {
    throw new CniError(ErrorCode.notAvailable, `the node "${own.name}" has no pod prefix yet`, {
      details: 'It gets one from the cluster, or from "podCIDRs" in its entry of the list of nodes.',
    });
  }
  refuseOwnPrefix(own, underlay);
  const { vni, port, mode } = settings;
  const mtu = overlayMtu(settings, underlay, own.podCIDRs);
  const vtep: WantedVtep = {
    device: vtepDevice(vni),
    mac: vtepMac(own.name),
    mtu: mtu.vtep,
    vni,
    port,
    local: underlay.address,
    addresses: hostPrefixes(own.podCIDRs),
  };
  const state: NodeState = {
    version: 1,
    node: own.name,
    vni,
    port,
    mode,
    device: vtep.device,
    mac: vtep.mac,
    mtu: mtu.pods,
    underlay: { device: underlay.device, address: underlay.address, mtu: underlay.mtu },
    podCIDRs: own.podCIDRs,
    addresses: vtep.addresses,
  };
  const { chosen, skipped, conflicts } = choosePeers(own, nodes, underlay);
  const entries = noEntries();
  const peers: PeerState[] = [];
  for (const peer of chosen.values()) {
    const planned = planPeer(peer, mode, underlay, entries);
    if (planned.state !== undefined) peers.push(planned.state);
    skipped.push(...planned.skipped);
  }
  skipped.sort(byName);
  return { state, vtep, entries, peers, skipped, chosen, conflicts };
};

export const byName = (a: { name: string }, b: { name: string }): number =>
  a.name < b.name ? -1 : Number(a.name > b.name);

const refuseOwnPrefix = ({ name, podCIDRs }: OverlayNode, { address }: Underlay): void => {
  const host = parseAddress(address);
  for (const text of podCIDRs) {
    const cidr = parseCidr(text);
    if (cidr === undefined || host === undefined || !contains(cidr, host)) continue;
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `the pod prefix ${text} of the node "${name}" contains its underlay address ${address}`,
      { details: 'Pods need a range of their own, apart from the addresses of nodes.' },
    );
  }
};

const hostPrefixes = (podCIDRs: readonly string[]): string[] => {
  const addresses = vtepAddresses(podCIDRs);
  return [
    ...(addresses[4] === undefined ? [] : [`${addresses[4]}/32`]),
    ...(addresses[6] === undefined ? [] : [`${addresses[6]}/128`]),
  ];
};
