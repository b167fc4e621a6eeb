import type { Call } from '../cni/plugin.ts';
import type { IpConfig } from '../cni/types.ts';
import {
  type AttachmentRecord,
  type HostSideRecord,
  removeAttachment,
  saveAttachment,
} from '../store/attachments.ts';
import type { Attacher } from './attacher.ts';
import { masqueradeAddresses } from './filters.ts';
import { ownerOf } from './owner.ts';
import type { Undo } from './undo.ts';

/** Writes the attachment's record before the kernel is touched, so that DEL and GC know what a kill may leave. */
export const rememberAttachment = (
  call: Call,
  { plugin, record: own }: Attacher,
  made: Pick<AttachmentRecord, 'masquerade' | 'spoofCheck' | 'mac'> & {
    hostInterface: string;
    host: HostSideRecord;
    ips: IpConfig[];
    features: string[] | undefined;
  },
  undo: Undo,
): AttachmentRecord => {
  const { ips, features, ...known } = made;
  const { network, containerId, ifname } = ownerOf(call);
  const record: AttachmentRecord = {
    ...own,
    ...known,
    version: 1,
    plugin,
    network,
    containerId,
    ifname,
    netns: call.env.netns,
    addresses: masqueradeAddresses(ips),
    ...(features && { features }),
  };
  undo.add('forget the attachment', () => removeAttachment(network, containerId, ifname));
  saveAttachment(record);
  return record;
};

/** Marks the record as that of an ADD that succeeded, with the packet filter it used. */
export const completeRecord = (record: AttachmentRecord, filter: AttachmentRecord['filter']): void =>
  saveAttachment({ ...record, ...(filter === undefined ? {} : { filter }), complete: true });
