import { readLink } from '../kernel/link.ts';
import { withLock } from '../store/lock.ts';
import type { Applied } from './apply.ts';
import { diffEntries, sizeOf } from './diff.ts';
import type { Devices, WantedEntries } from './entries.ts';
import { entryLines } from './lines.ts';
import { overlayLock } from './node-state.ts';
import { type OverlayPlan, planOverlay } from './plan.ts';
import { presentOf } from './present.ts';
import { countChanges, deviceNames, runEntryLines } from './run-lines.ts';
import { finish, syncPlan } from './sync.ts';
import type { OverlayNode, OverlaySettings, OverlaySync, Underlay } from './types.ts';
import { detectUnderlay } from './underlay.ts';

/** What is in force as far as we know. */
interface Known {
  plan: OverlayPlan;
  underlay: Underlay;
  entries: WantedEntries;
  devices: Devices;
}

/**
 * Keeps an overlay for as long as a process runs: as what is in force is known, a change of one peer is
 * compared with that, not with the kernel's tables. One for each overlay; calls must not overlap.
 */
export class OverlaySyncer {
  #known: Known | undefined;

  /**
   * As `syncOverlay`, compared with the kernel: at the start, on a timer, and when a device or a route was
   * changed by others.
   */
  async syncAll(
    own: OverlayNode,
    nodes: readonly OverlayNode[],
    settings: OverlaySettings,
  ): Promise<OverlaySync> {
    this.#known = undefined;
    const underlay = detectUnderlay(own, settings);
    const plan = planOverlay(own, nodes, settings, underlay);
    const { sync, applied } = await syncPlan(plan, underlay);
    this.#known = known(plan, underlay, applied);
    return sync;
  }

  /**
   * For a change of the nodes: only what differs from the last sync is written. Whatever else differs, or
   * fails, leads to `syncAll`.
   */
  async syncChange(
    own: OverlayNode,
    nodes: readonly OverlayNode[],
    settings: OverlaySettings,
  ): Promise<OverlaySync> {
    const before = this.#known;
    const underlay = detectUnderlay(own, settings);
    if (before === undefined || !Bun.deepEquals(underlay, before.underlay)) {
      return this.syncAll(own, nodes, settings);
    }
    const plan = planOverlay(own, nodes, settings, underlay);
    const isSameNode = Bun.deepEquals(plan.state, before.plan.state);
    if (!isSameNode || readLink(plan.vtep.device)?.index !== before.devices.vtep) {
      return this.syncAll(own, nodes, settings);
    }
    const changes = diffEntries(presentOf(before.entries, before.devices), plan.entries, before.devices);
    const applied: Applied = {
      changes: { vtep: false, added: 0, replaced: 0, removed: 0 },
      messages: [],
      entries: plan.entries,
      refused: new Map(),
      devices: before.devices,
    };
    if (sizeOf(changes) > 0) {
      this.#known = undefined;
      const lines = entryLines(changes, deviceNames(plan.vtep.device, underlay));
      const failed = await withLock(overlayLock(plan.vtep.vni), () => runEntryLines(lines, plan.vtep.device));
      if (failed.length > 0) return this.syncAll(own, nodes, settings);
      countChanges(changes, 0, applied.changes);
    }
    this.#known = known(plan, underlay, applied);
    return finish(plan, applied, []);
  }
}

const known = (plan: OverlayPlan, underlay: Underlay, applied: Applied | undefined): Known => ({
  plan,
  underlay,
  entries: applied?.entries ?? plan.entries,
  devices: applied?.devices ?? {
    vtep: readLink(plan.vtep.device)?.index ?? -1,
    underlay: underlay.index,
  },
});
