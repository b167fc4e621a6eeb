import { CniError, toCniError } from '../../shared/cni/errors.ts';
import type { Attachment } from '../../shared/cni/plugin.ts';
import { delNetwork } from './del.ts';
import type { Network } from './network.ts';
import { callPlugin, type Runtime } from './runtime.ts';
import { isAtLeast } from './spec-version.ts';

export interface GcOutcome {
  /** Attachments of the cache that were not valid and got a DEL. */
  deleted: Attachment[];
  /** Whether the plugins were asked: from CNI 1.1.0 on. */
  pluginsCalled: boolean;
}

/**
 * Frees what belongs to no attachment in `valid`: first a DEL for each cached attachment of this network
 * that is not among them, then GC of every plugin. Goes on after an error and throws all of them as one.
 * Undefined when the configuration has `disableGC`.
 */
export const gcNetwork = async (
  network: Network,
  valid: Attachment[],
  runtime: Runtime,
): Promise<GcOutcome | undefined> => {
  if (network.disableGC) return undefined;
  const errors: CniError[] = [];
  const attempt = async (body: () => Promise<unknown>): Promise<boolean> => {
    try {
      await body();
      return true;
    } catch (error) {
      errors.push(toCniError(error));
      return false;
    }
  };

  const deleted: Attachment[] = [];
  for (const { attachment } of runtime.cache.list(network.name).entries) {
    const key = { containerID: attachment.containerId, ifname: attachment.ifname };
    if (valid.some((kept) => kept.containerID === key.containerID && kept.ifname === key.ifname)) continue;
    if (await attempt(() => delNetwork(network, attachment, runtime))) deleted.push(key);
  }
  const pluginsCalled = isAtLeast(network.cniVersion, '1.1.0');
  for (const plugin of pluginsCalled ? network.plugins : []) {
    await attempt(() => callPlugin('GC', network, plugin, undefined, { validAttachments: valid }, runtime));
  }
  const [first, ...others] = errors;
  if (first !== undefined) throw others.length === 0 ? first : combined(first, errors);
  return { deleted, pluginsCalled };
};

const combined = (first: CniError, errors: CniError[]): CniError =>
  new CniError(first.code, `${errors.length} errors in garbage collection, the first: ${first.message}`, {
    details: errors.map((error) => `error ${error.code}: ${error.message}`).join('\n'),
  });
