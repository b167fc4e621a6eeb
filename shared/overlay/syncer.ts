import { readLink } from '../kernel/link.ts';
import { withLock } from '../store/lock.ts';
import type { Applied } from './apply.ts';
import { changePlan, mergeEntries } from './change.ts';
import { diffEntries, type EntryChanges, sizeOf } from './diff.ts';
import type { Devices, WantedEntries } from './entries.ts';
import { entryLines } from './lines.ts';
import { overlayLock } from './node-state.ts';
import { type OverlayPlan, planOverlay } from './plan.ts';
import { presentOf } from './present.ts';
import { countChanges, deviceNames, runEntryLines } from './run-lines.ts';
import { finish, syncPlan } from './sync.ts';
import type { NodeState, OverlayNode, OverlaySettings, OverlaySync, Underlay } from './types.ts';
import { detectUnderlay } from './underlay.ts';

/** What is in force as far as we know. */
interface Known {
  own: OverlayNode;
  settings: OverlaySettings;
  nodes: Map<string, OverlayNode>;
  underlay: Underlay;
  plan: OverlayPlan;
  entries: WantedEntries;
  refused: Map<string, string>;
  devices: Devices;
}

/**
 * Keeps an overlay for as long as a process runs: as what is in force is known, a change of some peers is
 * compared with that and costs what these peers cost, not what the cluster does. One for each overlay; a
 * call must not begin before the one before it has ended.
 */
export class OverlaySyncer {
  #known: Known | undefined;

  /**
   * As `syncOverlay`, compared with the kernel: at the start, on a timer, and when a device or a route was
   * changed by others. Routes over the VTEPs of `former` overlays become this one's.
   */
  async syncAll(
    own: OverlayNode,
    nodes: readonly OverlayNode[],
    settings: OverlaySettings,
    former: readonly NodeState[] = [],
  ): Promise<OverlaySync> {
    this.#known = undefined;
    const underlay = detectUnderlay(own, settings);
    const plan = planOverlay(own, nodes, settings, underlay);
    const { sync, applied } = await syncPlan(
      plan,
      underlay,
      former.map(({ device }) => device),
    );
    const byName = new Map(nodes.map((node) => [node.name, node]));
    this.#known = {
      ...{ own, settings, nodes: byName, underlay, plan },
      entries: applied?.entries ?? plan.entries,
      refused: applied?.refused ?? new Map(),
      devices: applied?.devices ?? { vtep: indexOf(plan), underlay: underlay.index },
    };
    return sync;
  }

  /**
   * For a change of the nodes: only what differs from the last sync is written. When more differs than some
   * peers, or a line fails, this is `syncAll`.
   */
  async syncChange(
    own: OverlayNode,
    nodes: readonly OverlayNode[],
    settings: OverlaySettings,
  ): Promise<OverlaySync> {
    const known = this.#known;
    if (known === undefined || !isSameHost(known, own, settings)) return this.syncAll(own, nodes, settings);
    const { underlay, entries, devices, refused } = known;
    const change = changePlan(known.plan, known.nodes, own, nodes, underlay);
    if (change === undefined) return this.syncAll(own, nodes, settings);
    // What was refused is tried again with the kernel's tables at hand.
    for (const table of ['routes', 'neighbours', 'fdb'] as const) {
      for (const key of change.before[table].keys())
        if (!entries[table].has(key)) return this.syncAll(own, nodes, settings);
    }
    const changes = diffEntries(presentOf(change.before, devices), change.after, devices);
    this.#known = undefined;
    if (!(await carryOut(changes, change.plan, underlay))) return this.syncAll(own, nodes, settings);
    mergeEntries(entries, change);
    this.#known = { ...known, plan: change.plan, nodes: new Map(nodes.map((node) => [node.name, node])) };
    const sums = { vtep: false, added: 0, replaced: 0, removed: 0 };
    countChanges(changes, 0, sums);
    const applied: Applied = { changes: sums, messages: [], entries, refused, devices };
    return finish(change.plan, applied, []);
  }
}

/** Whether all but the peers is as it was at the last sync. */
const isSameHost = (known: Known, own: OverlayNode, settings: OverlaySettings): boolean =>
  Bun.deepEquals(own, known.own) &&
  Bun.deepEquals(settings, known.settings) &&
  Bun.deepEquals(detectUnderlay(own, settings), known.underlay) &&
  indexOf(known.plan) === known.devices.vtep;

/** Whether all could be done. */
const carryOut = async (
  changes: EntryChanges,
  { vtep }: OverlayPlan,
  underlay: Underlay,
): Promise<boolean> => {
  if (sizeOf(changes) === 0) return true;
  const lines = entryLines(changes, deviceNames(vtep.device, underlay));
  const failed = await withLock(overlayLock(vtep.vni), () => runEntryLines(lines, vtep.device));
  return failed.length === 0;
};

const indexOf = ({ vtep }: OverlayPlan): number => readLink(vtep.device)?.index ?? -1;
