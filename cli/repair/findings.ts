import { toCniError } from '../../shared/cni/errors.ts';
import { findElementLacks, findFrameLacks } from '../../shared/filter/nft-lacks.ts';
import { mergeFrames, type NftPlan } from '../../shared/filter/nft-plan.ts';
import { ownerComment } from '../../shared/filter/owner.ts';
import type { NftSocket } from '../../shared/kernel/nft-socket.ts';
import type { AttachmentRecord } from '../../shared/store/attachments.ts';
import type { Lack } from './lack.ts';
import { Look } from './look.ts';
import type { Repairer } from './repairer.ts';

/** An attachment as one repairer sees it. */
export interface Subject {
  repairer: Repairer;
  record: AttachmentRecord;
}

/** A lack, and whose it is; nobody's own when it is shared. */
export interface Finding {
  subject?: Subject;
  lack: Lack;
}

/**
 * Compares the host with what the attachments need. Changes nothing. `others` are attachments that live,
 * too: what one of them has is not taken from it.
 */
export const findLacks = (
  socket: NftSocket,
  subjects: readonly Subject[],
  living: ReadonlySet<string>,
): Finding[] => {
  const look = new Look(socket);
  const planned: { subject: Subject; plans: NftPlan[] }[] = [];
  const findings: Finding[] = [];
  for (const subject of subjects) {
    try {
      planned.push({ subject, plans: subject.repairer.nftPlans(subject.record, look) });
      findings.push(...subject.repairer.otherLacks(subject.record, look).map((lack) => ({ subject, lack })));
    } catch (error) {
      findings.push({ subject, lack: unknown(error) });
    }
  }
  findings.push(
    ...frameFindings(
      socket,
      planned.flatMap(({ plans }) => plans),
    ),
  );
  const missing = new Set<string>();
  for (const { subject, plans } of planned) {
    for (const { what, commands, takenBy, shared = false } of findElementLacks(socket, plans)) {
      const isOthers = (!shared && missing.has(what)) || (takenBy !== undefined && living.has(takenBy));
      missing.add(what);
      const mend = isOthers ? SAME_ADDRESS : { by: 'nft' as const, commands };
      findings.push({ subject, lack: { what, shared, mend } });
    }
  }
  return withoutRepeats(findings);
};

/** By what the elements of these attachments are marked. */
export const commentsOf = (subjects: readonly Subject[]): Set<string> =>
  new Set(subjects.map(({ record }) => ownerComment(record)));

const SAME_ADDRESS = {
  by: 'nobody',
  advice: 'two pods have the same address: DEL one of them',
} as const;

const unknown = (error: unknown): Lack => ({
  what: "it can't be told what is missing",
  mend: { by: 'nobody', advice: toCniError(error).message },
});

const frameFindings = (socket: NftSocket, plans: readonly NftPlan[]): Finding[] =>
  mergeFrames(plans).flatMap((frame) =>
    findFrameLacks(socket, [{ feature: '', frame: [frame], elements: [] }]).map(({ what, commands }) => ({
      lack: { what, shared: true, mend: { by: 'nft' as const, commands, frame } },
    })),
  );

/** What is shared counts once, as nobody's own. */
const withoutRepeats = (findings: readonly Finding[]): Finding[] => {
  const seen = new Set<string>();
  return findings.flatMap(({ subject, lack }) => {
    if (lack.shared !== true) return [{ lack, ...(subject && { subject }) }];
    if (seen.has(lack.what)) return [];
    seen.add(lack.what);
    return [{ lack }];
  });
};
