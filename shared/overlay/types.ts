/** A node of the cluster, as a registry or a configuration describes it. */
export interface OverlayNode {
  /** VTEP MACs are computed from it: it is the same on every node, and unique. */
  name: string;
  /** Underlay addresses that other nodes reach it by, in order of preference; one of a family is used. */
  addresses: string[];
  /** The prefixes of its pods, in CIDR notation, of any family. The first of a family names its VTEP. */
  podCIDRs: string[];
  /**
   * Single addresses of its pods as host prefixes (10.244.1.5/32), which unlike prefixes may lie within a prefix of
   * another node: that of a pod which took its address along.
   */
  podAddresses?: string[];
}

/** How a peer's pods are reached: encapsulated always, never, or only where the peer is not a neighbour. */
export type OverlayMode = (typeof overlayModes)[number];

export const overlayModes = ['vxlan', 'direct', 'cross-subnet'] as const;

/** What all nodes of an overlay have in common, and what this one may be told. */
export interface OverlaySettings {
  /** 1 to 16777215. */
  vni: number;
  /** UDP port of the VXLAN, 1 to 65535. */
  port: number;
  mode: OverlayMode;
  /** A device, or an address of one; undefined: the device of the default route. */
  underlay: string | undefined;
  /** Bytes, of the VTEP and of the pods; undefined: what the underlay leaves. */
  mtu: number | undefined;
}

/** Defaults as of flannel on Linux. */
export const overlayDefaults = {
  vni: 1,
  port: 8472,
  mode: 'vxlan',
} as const satisfies Partial<OverlaySettings>;

/** The device and the address that carry traffic to the other nodes. */
export interface Underlay {
  device: string;
  /** The kernel's index of the device. */
  index: number;
  /** Bytes. */
  mtu: number;
  /** What the VTEP sends from. */
  address: string;
  /** All addresses of the device in CIDR notation: a peer within one of these subnets is a neighbour. */
  subnets: string[];
}

/**
 * What the last sync left, for whoever attaches pods: `/run/podwire/overlay/<vni>/node.json`. Small, as a
 * plugin call reads it.
 */
export interface NodeState {
  version: 1;
  node: string;
  vni: number;
  port: number;
  mode: OverlayMode;
  /** The VTEP's device. */
  device: string;
  /** The VTEP's MAC. */
  mac: string;
  /** Bytes: what pods may send. */
  mtu: number;
  underlay: { device: string; address: string; mtu: number };
  /** This node's own prefixes. */
  podCIDRs: string[];
  /** The VTEP's addresses, a host prefix of each family: where packets of the node itself to pods come from. */
  addresses: string[];
}

/** How a peer is reached: an element of `/run/podwire/overlay/<vni>/peers.json`. */
export interface PeerState {
  name: string;
  /** The underlay address used. */
  address: string;
  podCIDRs: string[];
  via: 'vxlan' | 'direct';
}

/** A peer that cannot be reached as it is described, and why. */
export interface SkippedPeer {
  name: string;
  reason: string;
}

/** How many entries of the kernel's tables (addresses, routes, neighbours, FDB) a sync changed. */
export interface OverlayChanges {
  /** Whether the VTEP was made, corrected or remade. */
  vtep: boolean;
  added: number;
  replaced: number;
  removed: number;
}

/** What a sync found and did. */
export interface OverlaySync {
  state: NodeState;
  /** Those that can be reached, by name. */
  peers: PeerState[];
  /** Those that cannot, or not by all of their prefixes. */
  skipped: SkippedPeer[];
  changes: OverlayChanges;
  /** What was corrected or could not be done, a sentence each, for a log. */
  messages: string[];
}
