import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { type AttachmentParameters, assertAttachment } from './attachment.ts';
import type { Network } from './network.ts';
import { cachedResult, callPlugin, type Runtime } from './runtime.ts';
import { isAtLeast } from './spec-version.ts';

/**
 * Calls CHECK of every plugin in order with the result of the ADD; the first error ends it. Returns false
 * when the configuration has `disableCheck`. Throws CniError 1 below CNI 0.4.0, which has no CHECK, and
 * 3 when this attachment's result is not in the cache: a plugin would have nothing to compare with.
 */
export const checkNetwork = async (
  network: Network,
  attachment: AttachmentParameters,
  runtime: Runtime,
): Promise<boolean> => {
  assertAttachment(attachment);
  if (!isAtLeast(network.cniVersion, '0.4.0')) {
    throw new CniError(
      ErrorCode.incompatibleVersion,
      `network "${network.name}" has cniVersion "${network.cniVersion}", which does not support the CHECK command`,
      { details: 'Set "cniVersion" to 0.4.0 or newer.' },
    );
  }
  if (network.disableCheck) return false;
  const prevResult = cachedResult(network, attachment, runtime.cache);
  if (prevResult === undefined) {
    const { containerId, ifname } = attachment;
    throw new CniError(
      ErrorCode.unknownContainer,
      `container ${containerId} is not attached to "${network.name}" by ${ifname}: no result is cached`,
      { details: 'Give --container-id, --ifname and --cache-dir as they were for add.' },
    );
  }
  for (const plugin of network.plugins) {
    await callPlugin('CHECK', network, plugin, attachment, { prevResult }, runtime);
  }
  return true;
};
