import { Fields, isObject } from '../cni/fields.ts';
import type { NetworkConfig } from '../cni/plugin.ts';
import { type FirewallOptions, parseFirewallOptions } from '../firewall/options.ts';
import { type PortmapOptions, parsePortmapOptions } from '../portmap/options.ts';
import { type BandwidthKeys, parseBandwidthKeys, wantsShaping } from '../shaping/bandwidth-keys.ts';

/** What a network plugin can do besides, in the stead of a plugin chained after it. */
export const FEATURES = ['portmap', 'bandwidth', 'firewall'] as const;

export type Feature = (typeof FEATURES)[number];

/** The features that a network plugin's configuration has, each with the keys of the plugin of that name. */
export interface FeatureKeys {
  /** It may have no port mappings: those are a pod's. */
  portmap?: PortmapOptions;
  /** It may have no rates: those, too. */
  bandwidth?: BandwidthKeys;
  firewall?: FirewallOptions;
}

/**
 * Reads the objects `portmap`, `bandwidth` and `firewall` of a network plugin's configuration, and what
 * `runtimeConfig` has of the capabilities `portMappings` and `bandwidth`. Throws CniError 7, or 2, that names
 * the key at fault.
 */
export const parseFeatureKeys = (config: FeatureConfig): FeatureKeys => {
  const asked = askedFeatures(config);
  if (asked.length === 0) return {};
  const fields = new Fields(config.json);
  const runtimeConfig = new Fields(config.runtimeConfig, 'runtimeConfig');
  const keys: FeatureKeys = {};
  if (asked.includes('portmap')) keys.portmap = parsePortmapOptions(fields.fields('portmap'), runtimeConfig);
  if (asked.includes('bandwidth')) {
    keys.bandwidth = parseBandwidthKeys(fields.fields('bandwidth'), config.runtimeConfig);
  }
  if (asked.includes('firewall')) keys.firewall = parseFirewallOptions(fields.fields('firewall'));
  return keys;
};

/** The features that have something to do for a pod. */
export const activeFeatures = ({ portmap, bandwidth, firewall }: FeatureKeys): Feature[] => {
  const isActive = {
    portmap: portmap !== undefined && portmap.mappings.length > 0,
    bandwidth: bandwidth !== undefined && wantsShaping(bandwidth),
    firewall: firewall !== undefined,
  };
  return FEATURES.filter((feature) => isActive[feature]);
};

/**
 * The features that a configuration names, whether or not it makes sense: by an object, by a capability, or by
 * what the runtime gives for one.
 */
export const askedFeatures = ({ json, runtimeConfig }: FeatureConfig): Feature[] => {
  const fields = new Fields(json);
  const capabilities = fields.raw('capabilities');
  return FEATURES.filter((feature) => {
    if (fields.has(feature)) return true;
    const capability = CAPABILITIES[feature];
    if (capability === undefined) return false;
    return (
      new Fields(runtimeConfig).has(capability) ||
      (isObject(capabilities) && new Fields(capabilities).raw(capability) === true)
    );
  });
};

type FeatureConfig = Pick<NetworkConfig, 'json' | 'runtimeConfig'>;

/** CONVENTIONS.md of the CNI specification, "Dynamic Plugin specific fields". */
const CAPABILITIES: Record<Feature, string | undefined> = {
  portmap: 'portMappings',
  bandwidth: 'bandwidth',
  firewall: undefined,
};
