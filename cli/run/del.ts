import type { JsonObject } from '../../shared/cni/types.ts';
import { type AttachmentParameters, assertAttachment } from './attachment.ts';
import type { Network } from './network.ts';
import { cachedResult, callPlugin, type Runtime } from './runtime.ts';
import { isAtLeast } from './spec-version.ts';

/**
 * Calls DEL of every plugin in reverse order with the result of the ADD, then forgets that result. The
 * first error ends it, with the result kept for another try, as in libcni. A result that is missing or
 * unreadable is done without.
 */
export const delNetwork = async (
  network: Network,
  attachment: AttachmentParameters,
  runtime: Runtime,
): Promise<void> => {
  assertAttachment(attachment);
  const prevResult = isAtLeast(network.cniVersion, '0.4.0')
    ? resultIfUsable(network, attachment, runtime)
    : undefined;
  for (const plugin of network.plugins.toReversed()) {
    await callPlugin('DEL', network, plugin, attachment, { prevResult }, runtime);
  }
  runtime.cache.remove(network.name, attachment);
};

const resultIfUsable = (
  network: Network,
  attachment: AttachmentParameters,
  { cache, note }: Runtime,
): JsonObject | undefined => {
  try {
    return cachedResult(network, attachment, cache);
  } catch (error) {
    note(`deleting without the cached result: ${(error as Error).message}`);
    return undefined;
  }
};
