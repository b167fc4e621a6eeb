import { type NetworkKeys, parseNetworkKeys } from '../../shared/attachment/network-keys.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';

/** The keys of the reference's `ptp`. Throws CniError 7 that names the key at fault; IPAM is required. */
export const parseVethConfig = ({ config }: Call): NetworkKeys => {
  const fields = new Fields(config.json);
  const keys = parseNetworkKeys(fields, config);
  if (keys.ipamType === '') {
    throw fields
      .fields('ipam')
      .invalid('type', 'is missing', 'A routed veth needs addresses: configure "ipam".');
  }
  return keys;
};
