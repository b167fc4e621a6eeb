/** What the suite has to know of a plugin to try it. */
export interface Profile {
  /** Name of the executable, and `type` in a configuration. */
  type: string;
  role: 'interface' | 'ipam' | 'chained' | 'loopback';
  /** It calls the plugin that `ipam.type` names. */
  delegates?: true;
  /**
   * A configuration that works, less cniVersion, and one that has nothing but what the plugin needs; for an
   * IPAM plugin, what a network plugin passes on to it.
   */
  config: { name: string; type: string; [key: string]: unknown };
  /** Capabilities that the configuration is given with, for chained plugins. */
  runtimeConfig?: Record<string, unknown>;
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
  { type: 'loopback', role: 'loopback', config: { name: 'lo', type: 'loopback' } },
  { type: 'host-local', role: 'ipam', config: { name: 'pods', type: 'bridge', ipam: hostLocal } },
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
];

/** The profile of a plugin. Throws for one that the suite does not know. */
export const profileOf = (type: string): Profile => {
  const profile = profiles.find((candidate) => candidate.type === type);
  if (profile === undefined) throw new Error(`the suite has no profile of a plugin "${type}"`);
  return profile;
};
