import { type NftSocket, withNftSocket } from '../../shared/kernel/nft-socket.ts';
import { withIdleAttachments } from '../../shared/store/attachment-lock.ts';
import { scanAttachments } from '../../shared/store/attachment-scan.ts';
import { type AttachmentRecord, readAttachment } from '../../shared/store/attachments.ts';
import { commentsOf, type Finding, findLacks, type Subject } from './findings.ts';
import { forwardWarnings } from './forward-warnings.ts';
import { Look } from './look.ts';
import { mendAll } from './mend.ts';
import { podState } from './pod-state.ts';
import type { Repairer } from './repairer.ts';
import type { Report, ReportItem } from './report.ts';

export interface RepairOptions {
  /** Only these networks' attachments. */
  networks?: readonly string[] | undefined;
  /** Look only. */
  dryRun?: boolean;
}

/**
 * Puts back what the recorded attachments of living pods lack on the host. Where nothing is missing,
 * nothing is written. Throws CniError when the records or the kernel can't be read.
 */
export const repair = (repairers: readonly Repairer[], options: RepairOptions = {}): Promise<Report> =>
  withNftSocket(async (socket) => {
    const report = emptyReport(options.dryRun === true);
    const look = new Look(socket);
    const { living, detached } = sortedSubjects(repairers, options.networks, look, report);
    await reportDetached(detached, report);
    const comments = commentsOf(living);
    for (let from = 0; from < living.length; from += TOGETHER) {
      await repairSome(socket, living.slice(from, from + TOGETHER), comments, report);
    }
    report.warnings.push(
      ...forwardWarnings(
        socket,
        living.map(({ record }) => record),
      ),
    );
    return report;
  });

/** How many attachments are repaired by the same children. */
const TOGETHER = 250;

/** The first may be disturbed by calls of plugins that run meanwhile. */
const ROUNDS = 3;

const emptyReport = (dryRun: boolean): Report => ({
  dryRun,
  repaired: [],
  failed: [],
  skipped: [],
  warnings: [],
  attachments: 0,
  intact: 0,
});

const sortedSubjects = (
  repairers: readonly Repairer[],
  networks: readonly string[] | undefined,
  look: Look,
  report: Report,
): { living: Subject[]; detached: Subject[] } => {
  const living: Subject[] = [];
  const detached: Subject[] = [];
  for (const repairer of repairers) {
    const { records, unreadable } = scanAttachments(repairer.root, networks);
    for (const file of unreadable)
      report.skipped.push({ what: `${file} is no record that this podwire understands` });
    for (const record of records) {
      const attachment = record;
      const state = podState(record, look);
      if (state === 'gone')
        report.skipped.push({ attachment, what: 'the pod is gone', why: 'DEL or GC removes what is left' });
      else if (!repairer.isComplete(record))
        report.skipped.push({ attachment, what: 'its ADD is under way or was killed', why: 'DEL clears up' });
      else if (state === 'detached') detached.push({ repairer, record });
      else living.push({ repairer, record });
    }
  }
  return { living, detached };
};

/** A pod without its interface: DEL may just be at it, or somebody has deleted the link. */
const reportDetached = async (subjects: readonly Subject[], report: Report): Promise<void> => {
  if (subjects.length === 0) return;
  await withIdleAttachments(
    subjects.map(({ record }) => record),
    (idle) => {
      for (const { record: attachment } of presentSubjects(subjects, new Set(idle), report)) {
        const why = 'DEL and ADD the container';
        report.attachments++;
        report.failed.push({ attachment, what: "the container's interface is gone", why });
      }
    },
  );
};

/**
 * Looks, and where something is missing mends it and looks again: what is found then is reported as not
 * repaired. The attachments are kept to ourselves meanwhile; the first look is without, as it may be all.
 */
const repairSome = async (
  socket: NftSocket,
  subjects: readonly Subject[],
  living: ReadonlySet<string>,
  report: Report,
): Promise<void> => {
  const first = findLacks(socket, subjects, living);
  const ailing = new Set(first.flatMap(({ subject }) => subject ?? []));
  report.attachments += subjects.length;
  report.intact += subjects.length - ailing.size;
  if (report.dryRun) {
    report.repaired.push(...first.filter(isMendable).map((finding) => itemOf(finding)));
    report.failed.push(...first.filter((finding) => !isMendable(finding)).map((finding) => itemOf(finding)));
  } else if (first.length > 0) {
    await withIdleAttachments(
      subjects.map(({ record }) => record),
      async (idle) => {
        const present = presentSubjects(subjects, new Set(idle), report);
        await mendUntilNothingIsMissing(socket, present, living, report);
      },
    );
  }
};

/** The attachments as they are now that nobody else changes them. */
const presentSubjects = (
  subjects: readonly Subject[],
  idle: ReadonlySet<AttachmentRecord>,
  report: Report,
): Subject[] =>
  subjects.flatMap((subject) => {
    const { repairer, record: attachment } = subject;
    if (!idle.has(attachment)) {
      report.skipped.push({ attachment, what: 'another call is at work on it', why: 'repair again later' });
      return [];
    }
    const { network, containerId, ifname } = attachment;
    const record = readAttachment(network, containerId, ifname, repairer.root);
    return record !== undefined && repairer.isComplete(record) ? [{ repairer, record }] : [];
  });

const mendUntilNothingIsMissing = async (
  socket: NftSocket,
  subjects: readonly Subject[],
  living: ReadonlySet<string>,
  report: Report,
): Promise<void> => {
  const found = new Map<string, Finding>();
  let open = findLacks(socket, subjects, living);
  let reasons = new Map<string, string | undefined>();
  for (let round = 1; round <= ROUNDS; round++) {
    const mendable = open.filter(isMendable);
    if (mendable.length === 0) break;
    for (const finding of mendable) found.set(keyOf(finding), finding);
    const failures = await mendAll(
      socket,
      mendable.map(({ lack }) => lack),
    );
    reasons = new Map(mendable.map((finding) => [keyOf(finding), failures.get(finding.lack)]));
    open = findLacks(socket, subjects, living);
  }
  for (const finding of open) {
    report.failed.push(itemOf(finding, reasons.get(keyOf(finding)) ?? GONE_AGAIN));
    found.delete(keyOf(finding));
  }
  for (const finding of found.values()) report.repaired.push(itemOf(finding));
};

const isMendable = ({ lack }: Finding): boolean => lack.mend.by !== 'nobody';

const GONE_AGAIN = 'something else takes it away again';

const keyOf = ({ subject, lack }: Finding): string => {
  if (subject === undefined) return lack.what;
  const { repairer, record } = subject;
  return [repairer.root, record.network, record.containerId, record.ifname, lack.what].join('\n');
};

/** `why` tells why something that could be mended was not. */
const itemOf = ({ subject, lack }: Finding, why?: string): ReportItem => ({
  ...(subject && { attachment: subject.record }),
  what: lack.what,
  ...(lack.mend.by === 'nobody' ? { why: lack.mend.advice } : why !== undefined && { why }),
});
