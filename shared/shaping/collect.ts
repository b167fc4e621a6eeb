import { combineErrors, deleteLink } from '../attachment/detach.ts';
import { aliasPrefix, hostInterfaceAlias } from '../attachment/host-interface-name.ts';
import type { Attachment } from '../cni/plugin.ts';
import { listLinks } from '../kernel/link.ts';
import { listAttachments, removeOtherAttachments } from '../store/attachments.ts';
import { shapingRecords } from './record.ts';
import { removeShaping } from './remove.ts';

/**
 * GC: removes the shaping of this network's attachments that are not in `valid`: those with a record
 * whole, and ifbs whose alias says so. An ifb of the reference plugin has no alias, and its name does not
 * tell the network, so it stays. Goes on after a failure and throws all of them at the end.
 */
export const collectShaping = async (network: string, valid: Attachment[]): Promise<void> => {
  const kept = new Set(
    valid.map(({ containerID, ifname }) => hostInterfaceAlias({ network, containerId: containerID, ifname })),
  );
  const stale = listAttachments(network, shapingRecords).filter(
    ({ containerId, ifname }) =>
      !valid.some((entry) => entry.containerID === containerId && entry.ifname === ifname),
  );
  const removed = await Promise.allSettled(stale.map((record) => removeShaping(record, undefined)));
  const prefix = aliasPrefix(network);
  const ifbs = listLinks().filter(
    ({ kind, alias }) => kind === 'ifb' && alias?.startsWith(prefix) === true && !kept.has(alias),
  );
  const deleted = await Promise.allSettled(ifbs.map(({ name }) => deleteLink(name)));
  const error = combineErrors(
    [...removed, ...deleted].flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])),
  );
  if (error !== undefined) throw error;
  removeOtherAttachments(network, valid, shapingRecords);
};
