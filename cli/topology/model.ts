import type { OverlayMode, PeerState } from '../../shared/overlay/types.ts';

/** What `podwire topology --json` prints: one node as it sees itself, or several merged. */
export interface Topology {
  version: 1;
  nodes: TopologyNode[];
}

/** A node, by its own account and its kernel's. */
export interface TopologyNode {
  name: string;
  /** By VNI. None where there is no overlay. */
  overlays: TopologyOverlay[];
  /** By network, then container. */
  pods: TopologyPod[];
}

export interface TopologyOverlay {
  vni: number;
  /** Of UDP. */
  port: number;
  mode: OverlayMode;
  /** The VTEP's device, MAC, MTU (bytes) and addresses (host prefixes). */
  device: string;
  mac: string;
  mtu: number;
  addresses: string[];
  underlay: { device: string; address: string; mtu: number };
  /** The node's own prefixes. */
  podCIDRs: string[];
  peers: TopologyPeer[];
  /** How the kernel differs from what the last sync left, in words. */
  problems: string[];
}

export interface TopologyPeer extends PeerState {
  /** What the kernel lacks for it, in words. */
  problems: string[];
}

export interface TopologyPod {
  containerId: string;
  network: string;
  /** The plugin that attached it. */
  plugin: string;
  /** In the pod, and its other end on the host. */
  interface: string;
  hostInterface?: string;
  addresses: string[];
  problems: string[];
}

/** A pod's name for people: container runtimes have ids of 64 digits. */
export const podName = ({ containerId }: TopologyPod): string =>
  /^[0-9a-f]{40,}$/.test(containerId) ? containerId.slice(0, 12) : containerId;
