import { type NftSocket, withNftSocket } from '../../shared/kernel/nft-socket.ts';
import { scanAttachments } from '../../shared/store/attachment-scan.ts';
import { commentsOf, type Finding, findLacks, type Subject } from './findings.ts';
import { forwardWarnings } from './forward-warnings.ts';
import { Look } from './look.ts';
import { type Failures, mendAll } from './mend.ts';
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
    const living = livingSubjects(repairers, options.networks, new Look(socket), report);
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

const livingSubjects = (
  repairers: readonly Repairer[],
  networks: readonly string[] | undefined,
  look: Look,
  report: Report,
): Subject[] => {
  const living: Subject[] = [];
  for (const repairer of repairers) {
    const { records, unreadable } = scanAttachments(repairer.root, networks);
    for (const file of unreadable)
      report.skipped.push({ what: `${file} is no record that this podwire understands` });
    for (const record of records) {
      const attachment = record;
      const state = podState(record, look);
      if (state === 'gone')
        report.skipped.push({ attachment, what: 'the pod is gone', why: 'DEL or GC removes what is left' });
      else if (record.complete !== true)
        report.skipped.push({ attachment, what: 'its ADD is under way or was killed', why: 'DEL clears up' });
      else if (state === 'detached') {
        report.attachments++;
        const why = 'DEL and ADD the container';
        report.failed.push({ attachment, what: "the container's interface is gone", why });
      } else living.push({ repairer, record });
    }
  }
  return living;
};

const repairSome = async (
  socket: NftSocket,
  subjects: readonly Subject[],
  living: ReadonlySet<string>,
  report: Report,
): Promise<void> => {
  const found = new Map<string, Finding>();
  let open = findLacks(socket, subjects, living);
  let failures: Failures = new Map();
  const own = new Set(open.map(({ subject }) => subject).filter((subject) => subject !== undefined));
  for (let round = 1; open.length > 0; round++) {
    const mendable = open.filter(({ lack }) => lack.mend.by !== 'nobody');
    for (const finding of mendable) found.set(keyOf(finding), finding);
    if (report.dryRun || mendable.length === 0 || round > ROUNDS) break;
    failures = await mendAll(
      socket,
      mendable.map(({ lack }) => lack),
    );
    const reasons = new Map(open.map((finding) => [keyOf(finding), failures.get(finding.lack)]));
    open = findLacks(socket, subjects, living);
    failures = new Map(open.map((finding) => [finding.lack, reasons.get(keyOf(finding)) ?? GONE_AGAIN]));
  }
  const failed = report.dryRun ? open.filter(({ lack }) => lack.mend.by === 'nobody') : open;
  const failedKeys = new Set(failed.map(keyOf));
  report.attachments += subjects.length;
  report.intact += subjects.length - own.size;
  report.failed.push(...failed.map((finding) => itemOf(finding, failures)));
  for (const [key, finding] of found) if (!failedKeys.has(key)) report.repaired.push(itemOf(finding));
};

const GONE_AGAIN = 'something else takes it away again';

const keyOf = ({ subject, lack }: Finding): string => {
  if (subject === undefined) return lack.what;
  const { repairer, record } = subject;
  return [repairer.root, record.network, record.containerId, record.ifname, lack.what].join('\n');
};

const itemOf = ({ subject, lack }: Finding, failures?: Failures): ReportItem => ({
  ...(subject && { attachment: subject.record }),
  what: lack.what,
  ...(failures && { why: lack.mend.by === 'nobody' ? lack.mend.advice : failures.get(lack) }),
});
