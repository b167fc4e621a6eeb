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
  /** What brings back a clean state after a kill; all of them unless given. */
  recoveries?: readonly RecoveryName[];
}

const route = { dst: '0.0.0.0/0' };
const hostLocal = (...subnets: string[]) => ({
  type: 'host-local',
  ranges: subnets.map((subnet) => [{ subnet }]),
  routes: [route],
});
const common = { cniVersion: '1.1.0' };
const bridge = { ...common, type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true };

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
  {
    title: 'host-local alone',
    plugin: 'host-local',
    config: { ...common, type: 'bridge', name: 'addresses', ipam: hostLocal('10.32.0.0/16', 'fd00:32::/64') },
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
];
