import { collectAttachments } from '../../shared/attachment/collect.ts';
import { detach } from '../../shared/attachment/detach.ts';
import { removeFilters } from '../../shared/attachment/filters.ts';
import { ownerOf } from '../../shared/attachment/owner.ts';
import type { Attachment, Call } from '../../shared/cni/plugin.ts';
import { parseBridgeConfig } from './config.ts';

/** DEL: veth, packet filter and addresses go, whatever is left of them; the bridge stays for others. */
export const deleteFromBridge = (call: Call): Promise<void> => {
  const config = parseBridgeConfig(call);
  return detach(call, {
    ipamType: config.ipamType,
    removeFilters: (record) =>
      removeFilters(ownerOf(call), record, { masquerade: config.ipMasq, spoofCheck: config.macSpoofCheck }),
  });
};

/** GC: the same for every attachment of this network that is not in `valid`. */
export const collectBridge = (call: Call, valid: Attachment[]): Promise<void> =>
  collectAttachments(call, valid, parseBridgeConfig(call).ipamType);
