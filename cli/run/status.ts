import type { Network } from './network.ts';
import { callPlugin, type Runtime } from './runtime.ts';
import { isAtLeast } from './spec-version.ts';

/**
 * Calls STATUS of every plugin; the first error ends it and is thrown as it is, with its code (50, 51).
 * Returns false below CNI 1.1.0, which has no STATUS: nothing was asked.
 */
export const statusNetwork = async (network: Network, runtime: Runtime): Promise<boolean> => {
  if (!isAtLeast(network.cniVersion, '1.1.0')) return false;
  for (const plugin of network.plugins) await callPlugin('STATUS', network, plugin, undefined, {}, runtime);
  return true;
};
