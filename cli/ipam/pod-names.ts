import { addressValue } from '../../shared/ipam/sync.ts';
import type { StoredRecord } from '../../shared/store/datastore/datastore.ts';
import { ResultCache } from '../run/cache.ts';

/**
 * `<namespace>/<name>` by container id: of this node's containers from libcni's result cache, which has the runtime's
 * CNI_ARGS, and of fixed addresses from their records. Empty where nothing tells.
 */
export const podNames = (
  network: string,
  cacheDir: string,
  addresses: readonly StoredRecord[],
): Map<string, string> => {
  const names = new Map<string, string>();
  for (const { containerId, pod } of addresses.map(addressValue)) {
    if (containerId !== undefined && pod !== undefined) names.set(containerId, pod);
  }
  for (const { attachment } of cacheEntries(network, cacheDir)) {
    const args = new Map(attachment.args);
    const [namespace, name] = [args.get('K8S_POD_NAMESPACE'), args.get('K8S_POD_NAME')];
    if (namespace !== undefined && name !== undefined)
      names.set(attachment.containerId, `${namespace}/${name}`);
  }
  return names;
};

/** The cache is the runtime's: where it cannot be read, pods have no names. */
const cacheEntries = (network: string, cacheDir: string) => {
  try {
    return new ResultCache(cacheDir).list(network).entries;
  } catch {
    return [];
  }
};
