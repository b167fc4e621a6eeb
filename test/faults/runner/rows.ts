import type { KernelFeature } from '../../support/needs.ts';
import type { TestHost } from '../../support/test-host.ts';
import { addUnderlay, overlayPeers } from '../../support/underlay.ts';
import type { RecoveryName } from './recoveries.ts';

/** A plugin and the network configuration it is called with. */
export interface PluginConfig {
  plugin: string;
  config: { cniVersion: string; name: string; type: string; [key: string]: unknown };
}

/** What the fault runner is to try: a plugin in one configuration. */
export interface FaultRow extends PluginConfig {
  title: string;
  /**
   * For a plugin that comes later in a chain: the one before it, which is called first, undisturbed, for each
   * attachment; its result is the row's prevResult.
   */
  behind?: PluginConfig;
  /**
   * What a runtime adds to the configuration for the attachment of that number, but not for GC: no two can have
   * the same host port.
   */
  runtimeKeys?: (attachment: number) => object;
  /** Makes what a node has of itself before any plugin is called. */
  prepare?: (host: TestHost) => Promise<void>;
  /** What the kernel has to have beyond what every row needs. */
  kernel?: readonly KernelFeature[];
  /** What brings back a clean state after a kill; all of them unless given. */
  recoveries?: readonly RecoveryName[];
}

const route = { dst: '0.0.0.0/0' };
const hostLocal = (...subnets: string[]) => ({
  type: 'host-local',
  ranges: subnets.map((subnet) => [{ subnet }]),
  routes: [route],
});
/** Keeps all below a directory that snapshots look at. */
const clusterIpam = {
  type: 'cluster-ipam',
  nodeName: 'node1',
  dataDir: '/var/lib/cni/networks',
  datastore: { type: 'file', directory: '/var/lib/cni/datastore' },
  pools: [
    { name: 'v4', cidr: '10.36.0.0/16' },
    { name: 'v6', cidr: 'fd00:36::/64' },
  ],
  routes: [route],
};
const common = { cniVersion: '1.1.0' };
const bridge = { ...common, type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true };
const chained = { ...common, name: 'chained' };
const behindBridge = (...subnets: string[]): PluginConfig => ({
  plugin: 'bridge',
  config: { ...bridge, name: 'chained', ipMasq: false, ipam: hostLocal(...subnets) },
});
const dualStack = ['10.34.0.0/16', 'fd00:34::/64'];
const portMappings = (attachment: number) => [
  { hostPort: 8080 + attachment, containerPort: 80, protocol: 'tcp' },
  { hostPort: 8080 + attachment, containerPort: 53, protocol: 'udp' },
];
const bandwidth = {
  ingressRate: 8_000_000,
  ingressBurst: 800_000,
  egressRate: 16_000_000,
  egressBurst: 800_000,
};

/** All rows; a further plugin needs no more than a further entry. */
export const rows: readonly FaultRow[] = [
  {
    title: 'bridge, nftables, macspoofchk',
    plugin: 'bridge',
    config: { ...bridge, name: 'pods', macspoofchk: true, ipam: hostLocal('10.30.0.0/16') },
  },
  {
    title: 'bridge, iptables, dual stack',
    plugin: 'bridge',
    config: {
      ...bridge,
      name: 'pods',
      ipMasqBackend: 'iptables',
      ipam: hostLocal('10.30.0.0/16', 'fd00:30::/64'),
    },
  },
  {
    title: 'veth, nftables, dual stack',
    plugin: 'veth',
    config: {
      ...common,
      type: 'veth',
      name: 'routed',
      ipMasq: true,
      ipam: hostLocal('10.31.0.0/16', 'fd00:31::/64'),
    },
  },
  {
    title: 'ptp, iptables',
    plugin: 'ptp',
    config: {
      ...common,
      type: 'ptp',
      name: 'routed',
      ipMasq: true,
      ipMasqBackend: 'iptables',
      ipam: hostLocal('10.31.0.0/16'),
    },
  },
  ...(['veth', 'bridge'] as const).map(
    (attach): FaultRow => ({
      title: `vxlan by ${attach}, dual stack`,
      plugin: 'vxlan',
      config: {
        ...common,
        type: 'vxlan',
        name: 'overlay',
        attach,
        ipMasq: true,
        peers: overlayPeers('10.36.0.0/16', 'fd00:36::/64'),
        ipam: { type: 'host-local' },
      },
      prepare: addUnderlay,
      kernel: ['vxlan'],
    }),
  ),
  {
    title: 'host-local alone',
    plugin: 'host-local',
    config: { ...common, type: 'bridge', name: 'addresses', ipam: hostLocal('10.32.0.0/16', 'fd00:32::/64') },
  },
  {
    title: 'cluster-ipam alone',
    plugin: 'cluster-ipam',
    config: { ...common, type: 'bridge', name: 'addresses', ipam: clusterIpam },
  },
  {
    title: 'cluster-ipam, sticky addresses',
    plugin: 'cluster-ipam',
    config: { ...common, type: 'bridge', name: 'addresses', ipam: clusterIpam },
    runtimeKeys: (attachment) => ({ args: { cni: { stickyKey: `pod-${attachment}`, holdSeconds: 0 } } }),
  },
  {
    title: 'bridge with cluster-ipam, dual stack',
    plugin: 'bridge',
    config: { ...bridge, name: 'pods', ipam: clusterIpam },
  },
  {
    title: 'static alone',
    plugin: 'static',
    config: {
      ...common,
      type: 'bridge',
      name: 'fixed',
      ipam: { type: 'static', addresses: [{ address: '10.33.0.5/16', gateway: '10.33.0.1' }] },
    },
  },
  {
    title: 'loopback',
    plugin: 'loopback',
    config: { ...common, type: 'loopback', name: 'lo' },
    // What it made is `lo` being up in the container's netns: without that there is nothing to look at.
    recoveries: ['DEL', 'ADD'],
  },
  {
    title: 'loopback behind bridge',
    plugin: 'loopback',
    config: { ...common, type: 'loopback', name: 'chained' },
    behind: { plugin: 'bridge', config: { ...bridge, name: 'chained', ipam: hostLocal('10.34.0.0/16') } },
    recoveries: ['DEL', 'ADD'],
  },
  ...(['nftables', 'iptables'] as const).map(
    (backend): FaultRow => ({
      title: `portmap behind bridge, ${backend}, dual stack`,
      plugin: 'portmap',
      config: { ...chained, type: 'portmap', backend },
      runtimeKeys: (attachment) => ({ runtimeConfig: { portMappings: portMappings(attachment) } }),
      behind: behindBridge(...dualStack),
    }),
  ),
  {
    title: 'bandwidth behind bridge, both directions',
    plugin: 'bandwidth',
    config: { ...chained, type: 'bandwidth', ...bandwidth, unshapedSubnets: ['10.0.0.0/8'] },
    behind: behindBridge('10.34.0.0/16'),
    kernel: ['ifb'],
  },
  {
    title: 'firewall behind bridge, nftables, same-bridge',
    plugin: 'firewall',
    config: { ...chained, type: 'firewall', backend: 'nftables', ingressPolicy: 'same-bridge' },
    behind: behindBridge(...dualStack),
  },
  {
    title: 'firewall behind bridge, iptables',
    plugin: 'firewall',
    config: { ...chained, type: 'firewall', backend: 'iptables' },
    behind: behindBridge(...dualStack),
  },
  {
    title: 'tuning behind bridge',
    plugin: 'tuning',
    config: {
      ...chained,
      type: 'tuning',
      sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net.ipv4.ip_default_ttl': '77' },
      mtu: 1300,
      mac: '02:aa:bb:cc:dd:01',
    },
    behind: behindBridge('10.34.0.0/16'),
    // The settings are in the container's netns: the others can only forget what they were.
    recoveries: ['DEL', 'ADD'],
  },
  {
    title: 'sbr behind bridge',
    plugin: 'sbr',
    // Without the hints, the interface's subnet leaves the main table for good, and no further ADD finds the gateway.
    config: { ...chained, type: 'sbr', addSourceHints: true },
    behind: behindBridge('10.34.0.0/16'),
    // Its rules and routes are in the container's netns.
    recoveries: ['DEL', 'ADD'],
  },
  {
    title: 'bridge, portmap, bandwidth and firewall in one process',
    plugin: 'bridge',
    config: { ...bridge, name: 'composed', portmap: {}, firewall: {}, ipam: hostLocal('10.35.0.0/16') },
    runtimeKeys: (attachment) => ({ runtimeConfig: { portMappings: portMappings(attachment), bandwidth } }),
    kernel: ['ifb'],
  },
];
