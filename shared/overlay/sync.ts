import { withLock } from '../store/lock.ts';
import { type Applied, applyOverlay, isApplied } from './apply.ts';
import { overlayLock, writeOverlayState } from './node-state.ts';
import { type OverlayPlan, planOverlay } from './plan.ts';
import { reachedPeers } from './refusals.ts';
import { enableOverlayForwarding, setVtepSysctls } from './sysctls.ts';
import type { OverlayNode, OverlaySettings, OverlaySync, Underlay } from './types.ts';
import { detectUnderlay } from './underlay.ts';

/**
 * Makes this host, in the netns of the calling thread, a node of the overlay: VTEP, routes, neighbours and FDB
 * entries of all peers, forwarding; then writes what plugins read. What is right already is left as it is,
 * what is stale goes, and what is not ours is not touched. `nodes` may have `own` among them.
 *
 * Throws CniError 7 when settings do not fit this host, 50 when the node has no pod prefix or no underlay is
 * found, 103 when a device that is not ours is in the way, 100 when a tool fails, 11 when another sync takes
 * too long, 5 when the state cannot be written. A peer that cannot be used is no error: it is in `skipped`.
 */
export const syncOverlay = async (
  own: OverlayNode,
  nodes: readonly OverlayNode[],
  settings: OverlaySettings,
): Promise<OverlaySync> => {
  const underlay = detectUnderlay(own, settings);
  const plan = planOverlay(own, nodes, settings, underlay);
  return (await syncPlan(plan, underlay)).sync;
};

/** The same for a plan, taking over the routes of `formerVteps`; with what is in force after it. */
export const syncPlan = async (
  plan: OverlayPlan,
  underlay: Underlay,
  formerVteps: readonly string[] = [],
): Promise<{ sync: OverlaySync; applied: Applied | undefined }> => {
  const messages = prepareHost(plan, underlay);
  if (isApplied(plan, underlay, formerVteps)) {
    messages.push(...setVtepSysctls(plan.vtep));
    return { sync: finish(plan, undefined, messages), applied: undefined };
  }
  return withLock(overlayLock(plan.state.vni), () => {
    const applied = applyOverlay(plan, underlay, formerVteps);
    return { sync: finish(plan, applied, messages), applied };
  });
};

const prepareHost = ({ state }: OverlayPlan, underlay: Underlay): string[] => {
  const families = ([4, 6] as const).filter((family) =>
    state.podCIDRs.some((prefix) => prefix.includes(':') === (family === 6)),
  );
  return enableOverlayForwarding(families, underlay.device);
};

/** Writes the state, and tells what was done. */
export const finish = (plan: OverlayPlan, applied: Applied | undefined, messages: string[]): OverlaySync => {
  const { peers, skipped } = reachedPeers(plan, applied?.refused ?? new Map());
  writeOverlayState(plan.state, peers);
  const changes = applied?.changes ?? { vtep: false, added: 0, replaced: 0, removed: 0 };
  return {
    state: plan.state,
    peers,
    skipped,
    changes,
    messages: [...messages, ...(applied?.messages ?? [])],
  };
};
