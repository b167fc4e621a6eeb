import type { TestHost } from '../../support/test-host.ts';
import { addUnderlay, overlayPeers } from '../../support/underlay.ts';

/** What the suite has to know of a plugin to try it. */
export interface Profile {
  /** Name of the executable, and `type` in a configuration. */
  type: string;
  role: 'interface' | 'ipam' | 'chained' | 'loopback';
  /** It calls the plugin that `ipam.type` names. */
  delegates?: true;
  /** A configuration that works, less cniVersion; for an IPAM plugin, what a network plugin passes on to it. */
  config: { name: string; type: string; [key: string]: unknown };
  /** Makes what a node has of itself before any plugin is called. */
  prepare?(host: TestHost): Promise<void>;
  /** What the n-th container of a trial is given of its own; such capabilities as no two can share. */
  configOf?(index: number): Record<string, unknown>;
}

const hostLocal = {
  type: 'host-local',
  ranges: [[{ subnet: '10.30.0.0/16' }]],
  routes: [{ dst: '0.0.0.0/0' }],
};

/** The plugins that the suite knows. One that is missing in a directory is not tried. */
export const profiles: readonly Profile[] = [
  {
    type: 'bridge',
    role: 'interface',
    delegates: true,
    config: { name: 'pods', type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, ipam: hostLocal },
  },
  {
    type: 'ptp',
    role: 'interface',
    delegates: true,
    config: { name: 'pods', type: 'ptp', ipMasq: true, ipam: hostLocal },
  },
  {
    type: 'vxlan',
    role: 'interface',
    delegates: true,
    prepare: addUnderlay,
    config: {
      name: 'pods',
      type: 'vxlan',
      vni: 30,
      ipMasq: true,
      peers: overlayPeers('10.30.0.0/16'),
      ipam: hostLocal,
    },
  },
  { type: 'loopback', role: 'loopback', config: { name: 'lo', type: 'loopback' } },
  { type: 'host-local', role: 'ipam', config: { name: 'pods', type: 'bridge', ipam: hostLocal } },
  {
    type: 'cluster-ipam',
    role: 'ipam',
    config: {
      name: 'pods',
      type: 'bridge',
      ipam: {
        type: 'cluster-ipam',
        pools: [{ name: 'pods', cidr: '10.30.0.0/16' }],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  },
  {
    type: 'static',
    role: 'ipam',
    config: {
      name: 'pods',
      type: 'bridge',
      ipam: {
        type: 'static',
        addresses: [{ address: '10.30.0.5/16', gateway: '10.30.0.1' }],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  },
  {
    type: 'portmap',
    role: 'chained',
    config: { name: 'pods', type: 'portmap', snat: true, capabilities: { portMappings: true } },
    configOf: (index) => ({
      runtimeConfig: { portMappings: [{ hostPort: 8080 + index, containerPort: 80, protocol: 'tcp' }] },
    }),
  },
  {
    type: 'bandwidth',
    role: 'chained',
    config: {
      name: 'pods',
      type: 'bandwidth',
      ingressRate: 8_000_000,
      ingressBurst: 800_000,
      egressRate: 16_000_000,
      egressBurst: 1_600_000,
    },
  },
  { type: 'firewall', role: 'chained', config: { name: 'pods', type: 'firewall' } },
  {
    type: 'tuning',
    role: 'chained',
    config: {
      name: 'pods',
      type: 'tuning',
      mtu: 1400,
      promisc: true,
      sysctl: { 'net.ipv4.conf.all.log_martians': '1' },
    },
    configOf: (index) => ({ mac: `02:00:5e:ed:00:${index.toString(16).padStart(2, '0')}` }),
  },
  { type: 'sbr', role: 'chained', config: { name: 'pods', type: 'sbr' } },
];

/** The profile of a plugin. Throws for one that the suite does not know. */
export const profileOf = (type: string): Profile => {
  const profile = profiles.find((candidate) => candidate.type === type);
  if (profile === undefined) throw new Error(`the suite has no profile of a plugin "${type}"`);
  return profile;
};
