import { CniError, ErrorCode } from '../cni/errors.ts';
import type { FailedLine } from '../kernel/batch.ts';
import { runIpBatch } from '../kernel/ip-batch.ts';
import { readLink } from '../kernel/link.ts';
import { diffEntries, sizeOf } from './diff.ts';
import type { Devices, WantedEntries } from './entries.ts';
import { withoutForeign } from './foreign-routes.ts';
import { entryLines } from './lines.ts';
import type { OverlayPlan, WantedVtep } from './plan.ts';
import { readEntries, readVtep } from './read.ts';
import { refusalsOf } from './refusals.ts';
import { countChanges, deviceNames, runEntryLines } from './run-lines.ts';
import { setVtepSysctls } from './sysctls.ts';
import type { OverlayChanges, Underlay } from './types.ts';
import { refuseForeignVtep, refuseSameVni } from './vtep-conflicts.ts';
import { vtepDifferences, vtepLines } from './vtep-lines.ts';

/** What came of carrying out a plan. */
export interface Applied {
  changes: OverlayChanges;
  messages: string[];
  /** What is in force: the plan's entries less what was refused. */
  entries: WantedEntries;
  /** Why the route of a prefix, or the neighbour or FDB entry of a MAC, is not there. */
  refused: Map<string, string>;
  devices: Devices;
}

/**
 * Makes the netns of the calling thread as the plan has it: the VTEP, then FDB entries, neighbours, routes,
 * then what is stale goes. A line that fails does not stop the others; as somebody else may change the same
 * things, what is there is then read again, up to 4 times in all. Routes over `formerVteps` become ours in one step
 * each, so that no packet is lost; what else is on these devices is left. Throws CniError 103 when a device that is
 * not ours is in the way, 100 when the VTEP cannot be made as it must be.
 */
export const applyOverlay = (
  plan: OverlayPlan,
  underlay: Underlay,
  formerVteps: readonly string[] = [],
): Applied => {
  const applied: Applied = {
    changes: { vtep: false, added: 0, replaced: 0, removed: 0 },
    messages: [],
    entries: { ...plan.entries, routes: new Map(plan.entries.routes) },
    refused: new Map(),
    devices: { vtep: -1, underlay: underlay.index },
  };
  let before = '';
  for (let round = 1; round <= ROUNDS; round += 1) {
    const outcome = applyOnce(plan.vtep, underlay, applied, formerVteps, round === ROUNDS);
    if (outcome === 'again') continue;
    if (outcome.length === 0) return applied;
    withoutForeign(outcome, applied, plan.vtep.device);
    const now = outcome.map(({ line }) => line).join('\n');
    if (now === before || round === ROUNDS) refusalsOf(outcome, applied);
    if (now === before) break;
    before = now;
  }
  return applied;
};

/** Whether `applyOverlay` would change nothing. Throws CniError 103. */
export const isApplied = (
  { vtep, entries }: OverlayPlan,
  underlay: Underlay,
  formerVteps: readonly string[] = [],
): boolean => {
  const present = readVtep(vtep.device);
  refuseForeignVtep(present, vtep);
  if (present === undefined || vtepDifferences(present, vtep).length > 0) return false;
  const { index } = present.link;
  const devices = { vtep: index, underlay: underlay.index };
  return sizeOf(diffEntries(readEntries(index, formerVteps), entries, devices)) === 0;
};

const ROUNDS = 4;

/** One round: the lines that failed; or `again` when the VTEP was not to be had, or not for long. */
const applyOnce = (
  wanted: WantedVtep,
  underlay: Underlay,
  applied: Applied,
  formerVteps: readonly string[],
  isLast: boolean,
): FailedLine[] | 'again' => {
  const { device } = wanted;
  const present = readVtep(device);
  refuseForeignVtep(present, wanted);
  const wrong = vtepDifferences(present, wanted);
  const lines = vtepLines(present, wanted);
  if (wrong.length > 0) {
    applied.changes.vtep = true;
    if (present !== undefined) applied.messages.push(`the VTEP ${device} was corrected: ${wrong.join('; ')}`);
  }
  try {
    runIpBatch(lines.link, `could not set up the VTEP ${device}`);
  } catch (error) {
    refuseSameVni(wanted, error);
    if (isLast) throw error;
    return 'again';
  }
  const link = readLink(device);
  if (link === undefined) {
    if (isLast) throw vtepFailure(device, ['somebody removes it again and again']);
    return 'again';
  }
  applied.messages.push(...setVtepSysctls(wanted));
  applied.devices = { vtep: link.index, underlay: underlay.index };
  const changes = diffEntries(readEntries(link.index, formerVteps), applied.entries, applied.devices);
  const batches = entryLines(changes, deviceNames(device, underlay), lines.up);
  const failed = runEntryLines(batches, device);
  countChanges(changes, failed.length, applied.changes);
  if (wrong.length === 0) return failed;
  // Somebody, such as udev, may have changed it as soon as it was there.
  const left = vtepDifferences(readVtep(device), wanted);
  if (left.length > 0 && isLast) throw vtepFailure(device, left, failed);
  return left.length > 0 ? 'again' : failed;
};

const vtepFailure = (device: string, left: string[], failed: FailedLine[] = []): CniError =>
  new CniError(ErrorCode.commandFailed, `the VTEP ${device} cannot be put in order: ${left.join('; ')}`, {
    details:
      failed[0] === undefined
        ? 'Something else on this host changes it: find out what, and keep it from devices of that name.'
        : `"${failed[0].line}" failed: ${failed[0].message}`,
  });
