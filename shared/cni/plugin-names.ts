/**
 * The type names of the plugins in this executable, in the order in which they are shown. This is the one list:
 * `scripts/build` links them, `podwire install` places them, and the type checker holds `plugins/registry.ts` to
 * it.
 */
export const pluginNames = [
  'bridge',
  'veth',
  'ptp',
  'vxlan',
  'loopback',
  'portmap',
  'bandwidth',
  'firewall',
  'tuning',
  'sbr',
  'host-local',
  'cluster-ipam',
  'static',
] as const;

export type PluginName = (typeof pluginNames)[number];

/** The name of the operator's command, under which nothing but the command is called. */
export const commandName = 'podwire';
