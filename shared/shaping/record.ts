import type { Owner } from '../filter/owner.ts';
import { type AttachmentRecord, readAttachment, saveAttachment } from '../store/attachments.ts';
import type { ShapingPlan } from './plan.ts';

/** Beside the network plugins' records, which have the same names. */
export const shapingRecords = '/run/podwire/bandwidth';

/** What the bandwidth plugin remembers of an attachment: all of its plan, so that it can be put back or taken away. */
export interface ShapingRecord extends AttachmentRecord {
  hostInterface: string;
  /** Tells the interface from a later one of its name. */
  hostIndex: number;
  shaping: ShapingPlan;
}

/** The record of an attachment; undefined when there is none or it is not understood. */
export const readShapingRecord = ({ network, containerId, ifname }: Owner): ShapingRecord | undefined => {
  const record = readAttachment(network, containerId, ifname, shapingRecords);
  return record !== undefined && isShapingRecord(record) ? record : undefined;
};

/** Writes it; `complete` once all of the plan is in force. Throws CniError 5. */
export const saveShapingRecord = (
  owner: Owner,
  made: { netns: string; hostIndex: number; shaping: ShapingPlan },
  complete: boolean,
): void => {
  const { network, containerId, ifname } = owner;
  const common = { version: 1 as const, plugin: 'bandwidth', network, containerId, ifname, addresses: [] };
  const hostInterface = made.shaping.device;
  saveAttachment({ ...common, ...made, hostInterface, ...(complete && { complete }) }, shapingRecords);
};

/** Whether a record of `shapingRecords` can be worked with. */
export const isShapingRecord = (record: AttachmentRecord): record is ShapingRecord => {
  const shaping = record.shaping as Partial<ShapingPlan> | undefined;
  return typeof record.hostInterface === 'string' && typeof shaping?.device === 'string';
};
