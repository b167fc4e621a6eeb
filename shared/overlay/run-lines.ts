import { type FailedLine, runWholeBatch } from '../kernel/batch.ts';
import { readLink } from '../kernel/link.ts';
import type { EntryChanges } from './diff.ts';
import type { DeviceNames, EntryLines } from './lines.ts';
import type { OverlayChanges, Underlay } from './types.ts';

/** Carries out the batches in their order and returns the lines that failed. Throws CniError 100. */
export const runEntryLines = ({ fdb, ip, staleFdb }: EntryLines, vtep: string): FailedLine[] => {
  const context = `could not set up the peers on ${vtep}`;
  return [fdb, ip, staleFdb].flatMap((batch) => runWholeBatch(batch, context));
};

export const deviceNames = (vtep: string, underlay: Underlay): DeviceNames => ({
  vtep,
  underlay: underlay.device,
  byIndex: (index) => (index === underlay.index ? underlay.device : readLink(index)?.name),
});

/** Adds what was done to the sums; lines that failed are taken off as far as there is something to take off. */
export const countChanges = (changes: EntryChanges, failed: number, sums: OverlayChanges): void => {
  const { fdb, neighbours, addedRoutes, replacedRoutes, staleRoutes, staleNeighbours, staleFdb } = changes;
  const replaced = replacedRoutes.length + changes.replaced;
  const added = addedRoutes.length + fdb.length + neighbours.length - changes.replaced;
  sums.added += Math.max(0, added - failed);
  sums.replaced += replaced;
  sums.removed += staleRoutes.length + staleNeighbours.length + staleFdb.length;
};
