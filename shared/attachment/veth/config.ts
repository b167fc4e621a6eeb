import { Fields } from '../../cni/fields.ts';
import type { Call } from '../../cni/plugin.ts';
import { type NetworkKeys, parseNetworkKeys } from '../network-keys.ts';

/** How a pod is attached by a routed veth. */
export interface VethConfig extends NetworkKeys {
  /** The pod gets a default route for each family for which IPAM has none. */
  isDefaultGateway: boolean;
}

/** The keys of the reference's `ptp`, which makes no default routes by itself. Throws CniError 7 that names the key at fault; IPAM is required. */
export const parseVethConfig = ({ config }: Call): VethConfig => {
  const fields = new Fields(config.json);
  const keys = parseNetworkKeys(fields, config);
  if (keys.ipamType === '') {
    throw fields
      .fields('ipam')
      .invalid('type', 'is missing', 'A routed veth needs addresses: configure "ipam".');
  }
  return { ...keys, isDefaultGateway: false };
};
