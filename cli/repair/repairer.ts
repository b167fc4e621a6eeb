import type { NftPlan } from '../../shared/filter/nft-plan.ts';
import type { AttachmentRecord } from '../../shared/store/attachments.ts';
import type { Lack } from './lack.ts';
import type { Look } from './look.ts';

/** Knows what the attachments of one kind of record need of the host. Changes nothing itself. */
export interface Repairer {
  /** Where the records are: `/run/podwire/<plugin>`, as given to `saveAttachment`. */
  root: string;
  /** Whether the ADD that wrote the record has ended. */
  isComplete(record: AttachmentRecord): boolean;
  /**
   * What an attachment needs of nftables. It is compared with the kernel, and put back in transactions
   * that serve hundreds of attachments. Throws when the record is damaged.
   */
  nftPlans(record: AttachmentRecord, look: Look): NftPlan[];
  /** What else it lacks. Throws CniError when that can't be found out. */
  otherLacks(record: AttachmentRecord, look: Look): Lack[];
}
