import { delegateVerb } from '../cni/delegate.ts';
import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import { featuresStatus } from '../features/status.ts';
import { toolPath } from '../kernel/tool-path.ts';
import { filtersStatus } from './filters.ts';
import type { NetworkKeys } from './network-keys.ts';

/**
 * What any plugin that attaches by a veth needs in order to serve an ADD. A runtime asks every few
 * seconds, so nothing is started here but, where it is foreign, the IPAM plugin. Throws CniError 50.
 */
export const networkStatus = async (call: Call, keys: NetworkKeys, spoofCheck: boolean): Promise<void> => {
  if (toolPath('ip') === undefined) {
    throw new CniError(ErrorCode.notAvailable, 'the "ip" command is missing', {
      details: 'Install iproute2.',
    });
  }
  filtersStatus(keys, spoofCheck);
  featuresStatus(keys.features);
  if (keys.ipamType !== '') await delegateVerb(call, 'STATUS', keys.ipamType);
};
