import { collectAttachments } from '../../shared/attachment/collect.ts';
import { detach } from '../../shared/attachment/detach.ts';
import { removeFilters } from '../../shared/attachment/filters.ts';
import { ownerOf } from '../../shared/attachment/owner.ts';
import type { Attachment, Call } from '../../shared/cni/plugin.ts';
import { parseVethConfig } from './config.ts';

/** DEL: veth, with it the host's addresses and routes, packet filter and addresses, whatever is left. */
export const deleteVeth = (call: Call): Promise<void> => {
  const config = parseVethConfig(call);
  return detach(call, {
    ipamType: config.ipamType,
    removeFilters: (record) =>
      removeFilters(ownerOf(call), record, { masquerade: config.ipMasq, spoofCheck: false }),
  });
};

/** GC: the same for every attachment of this network that is not in `valid`. */
export const collectVeth = (call: Call, valid: Attachment[]): Promise<void> =>
  collectAttachments(call, valid, parseVethConfig(call).ipamType);
