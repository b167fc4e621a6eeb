import { combineErrors } from '../attachment/combine-errors.ts';
import type { Attachment } from '../cni/plugin.ts';
import { listAttachments, listCompletedSince, removeOtherAttachments } from '../store/attachments.ts';
import { collectIfbs } from './ifb.ts';
import { shapingRecords } from './record.ts';
import { removeShaping } from './remove.ts';

/**
 * GC: removes the shaping of this network's attachments that are not in `valid`: those with a record
 * whole, and ifbs whose alias says so. An ifb of the reference plugin has no alias, and its name does not
 * tell the network, so it stays; and so does what was completed after `since` (ms since the epoch), when
 * the list was made. Goes on after a failure and throws all of them at the end.
 */
export const collectShaping = async (network: string, listed: Attachment[], since: number): Promise<void> => {
  const recent = listCompletedSince(network, since, shapingRecords);
  const valid = [
    ...listed,
    ...recent.map(({ containerId, ifname }) => ({ containerID: containerId, ifname })),
  ];
  const stale = listAttachments(network, shapingRecords).filter(
    ({ containerId, ifname }) =>
      !valid.some((entry) => entry.containerID === containerId && entry.ifname === ifname),
  );
  const outcomes = [
    ...(await Promise.allSettled(stale.map((record) => removeShaping(record, undefined)))),
    ...(await Promise.allSettled([collectIfbs(network, valid)])),
  ];
  const error = combineErrors(outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])));
  if (error !== undefined) throw error;
  removeOtherAttachments(network, valid, shapingRecords);
};
