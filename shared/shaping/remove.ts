import { combineErrors } from '../attachment/combine-errors.ts';
import type { Owner } from '../filter/owner.ts';
import { commandFailure } from '../kernel/command.ts';
import { type LinkState, listLinks, readLink } from '../kernel/link.ts';
import type { Netns } from '../kernel/netns.ts';
import { startCommand } from '../kernel/running-command.ts';
import { INGRESS_PARENT, readFilters, readIngressQdisc } from '../kernel/tc.ts';
import { TcBatch } from '../kernel/tc-batch.ts';
import { removeAttachment } from '../store/attachments.ts';
import { hostInterfaceIfPresent } from './host-interface.ts';
import { ownIfbs, removeLinks } from './ifb.ts';
import { deleteRoot } from './lines.ts';
import { removeIngress } from './mend.ts';
import { ROOT_HANDLE } from './plan.ts';
import { readShapingRecord, type ShapingRecord, shapingRecords } from './record.ts';
import { readShapingState } from './state.ts';

/**
 * DEL: takes the ifb, and the limits from the host's end of the veth, in any state of decay; what is not
 * there is fine. The veth itself mostly goes next, but as long as it is there, filters to an ifb that is
 * gone would swallow all that the pod sends. `asked`: without a record (the ADD was the reference's), the
 * configuration says that what goes to the pod is limited. Throws CniError 100, after everything was tried.
 */
export const removeShaping = async (owner: Owner, netns: Netns | undefined, asked = false): Promise<void> => {
  const record = readShapingRecord(owner);
  const ifbs = ownIfbs(owner, record?.shaping);
  const device = shapedDevice(owner, netns, record, ifbs);
  const outcomes = await Promise.allSettled([
    device === undefined ? undefined : clearDevice(device, ifbs, record, asked),
    removeLinks(ifbs),
  ]);
  const error = combineErrors(outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])));
  if (error !== undefined) throw error;
  removeAttachment(owner.network, owner.containerId, owner.ifname, shapingRecords);
};

/** By the record; else by the container; else, with neither, by who redirects to the ifb. */
const shapedDevice = (
  { ifname }: Owner,
  netns: Netns | undefined,
  record: ShapingRecord | undefined,
  ifbs: LinkState[],
): LinkState | undefined => {
  if (record !== undefined) {
    const link = readLink(record.hostInterface);
    return link?.index === record.hostIndex ? link : undefined;
  }
  return hostInterfaceIfPresent(netns, ifname) ?? (ifbs.length === 0 ? undefined : redirectingDevice(ifbs));
};

const redirectingDevice = (ifbs: LinkState[]): LinkState | undefined => {
  const targets = new Set<number | undefined>(ifbs.map(({ index }) => index));
  return listLinks().find(
    ({ index, kind }) =>
      kind === 'veth' &&
      readIngressQdisc(index) !== undefined &&
      readFilters(index, INGRESS_PARENT).some(
        ({ redirectsTo }) => redirectsTo !== undefined && targets.has(redirectsTo),
      ),
  );
};

const clearDevice = async (
  device: LinkState,
  ifbs: LinkState[],
  record: ShapingRecord | undefined,
  asked: boolean,
): Promise<void> => {
  const batch = clearingLines(device, ifbs, record, asked);
  if (batch.size === 0) return;
  // Goes on after a line that fails: somebody may be removing the veth at the same time.
  const args = ['-force', '-batch', '-'];
  const result = await startCommand('tc', args, { stdin: batch.toString() }).result();
  if (result.exitCode === 0 || clearingLines(device, ifbs, record, asked).size === 0) return;
  throw commandFailure('tc', args, result, `could not remove the limits from "${device.name}"`);
};

const clearingLines = (
  { name, index }: LinkState,
  ifbs: LinkState[],
  record: ShapingRecord | undefined,
  asked: boolean,
): TcBatch => {
  const batch = new TcBatch();
  const state = readShapingState({ device: name });
  if (state.device?.index !== index) return batch;
  const { root } = state;
  const isLimited = record === undefined ? asked : record.shaping.ingress !== undefined;
  if (isLimited && root?.handle === ROOT_HANDLE && (root.tbf ?? root.htb) !== undefined)
    deleteRoot(batch, name);
  // An ifb that is gone leaves filters that redirect to number 0.
  const targets = [0, ...ifbs.map((ifb) => ifb.index)];
  const redirects = state.ingressFilters.some(({ redirectsTo = -1 }) => targets.includes(redirectsTo));
  if (redirects || record?.shaping.egress !== undefined) removeIngress(batch, name, state);
  return batch;
};
