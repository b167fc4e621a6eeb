import type { AttachmentRecord } from '../../shared/store/attachments.ts';

/** Something that was, or was to be, put back. */
export interface ReportItem {
  /** Absent for what attachments have in common. */
  attachment?: Pick<AttachmentRecord, 'plugin' | 'network' | 'containerId' | 'ifname'>;
  what: string;
  /** Why it could not be put back, or was left alone, and what to do. */
  why?: string | undefined;
}

/** What `podwire repair` found and did. */
export interface Report {
  /** Nothing was changed: `repaired` is what would be. */
  dryRun: boolean;
  repaired: ReportItem[];
  failed: ReportItem[];
  /** Left alone: no attachment of a living pod. */
  skipped: ReportItem[];
  /** What stands in the way of traffic and is not ours to change. */
  warnings: string[];
  /** Attachments looked at, without those that were skipped. */
  attachments: number;
  /** Those of them that lacked nothing. */
  intact: number;
}
