import { ErrorCode, toCniError } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { checkVtep } from '../../shared/overlay/check.ts';
import { diffEntries, type EntryChanges } from '../../shared/overlay/diff.ts';
import { hasOutgoingNat } from '../../shared/overlay/nat-outgoing.ts';
import { readEntries, readVtep } from '../../shared/overlay/read.ts';
import { vtepDifferences } from '../../shared/overlay/vtep-lines.ts';
import type { VxlanConfig } from './config.ts';
import { agentState, type OwnOverlay, planOwn } from './overlay.ts';

/**
 * What is not as it should be in the node's overlay, a phrase each: the device, and where no agent sees to it what
 * leads to the peers, and NAT.
 */
export const overlayLacks = async (call: Call, config: VxlanConfig): Promise<string[]> => {
  try {
    const { peers } = config;
    if (peers.from !== 'agent') return await lacksOf(planOwn(config, peers));
    const state = agentState(call, config, ErrorCode.checkFailed);
    return ofDevice(state.device, checkVtep(state));
  } catch (error) {
    // The list of nodes changed so that no ADD would take it, or the agent's state is gone.
    return [toCniError(error).message];
  }
};

const lacksOf = async ({ plan, underlay, nat }: OwnOverlay): Promise<string[]> => {
  const { device } = plan.vtep;
  const vtep = readVtep(device);
  const lacks = ofDevice(device, vtepDifferences(vtep, plan.vtep));
  if (vtep !== undefined) {
    const devices = { vtep: vtep.link.index, underlay: underlay.index };
    lacks.push(...entryLacks(device, diffEntries(readEntries(devices.vtep), plan.entries, devices)));
  }
  if (nat !== undefined && !(await hasOutgoingNat(nat)))
    lacks.push('the NAT of what leaves the cluster is incomplete');
  return lacks;
};

/** Differences of the VTEP with its name. */
export const ofDevice = (device: string, differences: readonly string[]): string[] =>
  differences.map((text) => `the overlay's device "${device}": ${text}`);

/** A phrase for each kind of entry. */
const entryLacks = (device: string, changes: EntryChanges): string[] => {
  const { addedRoutes, replacedRoutes, staleRoutes, neighbours, staleNeighbours, fdb, staleFdb } = changes;
  return [
    ...list(
      'the routes to the pods of other nodes lack',
      [...addedRoutes, ...replacedRoutes].map(({ dst }) => dst),
    ),
    ...list(
      'routes of the overlay lead to nobody:',
      staleRoutes.map(({ dst }) => dst),
    ),
    ...list(
      `"${device}" lacks the neighbours`,
      neighbours.map(([address]) => address),
    ),
    ...list(`"${device}" has the wrong neighbours`, staleNeighbours),
    ...list(
      `the FDB of "${device}" lacks`,
      fdb.map(([mac, dst]) => `${mac} at ${dst}`),
    ),
    ...list(
      `the FDB of "${device}" has the wrong`,
      staleFdb.map(({ mac, dst }) => `${mac} at ${dst}`),
    ),
  ];
};

const shown = 5;

const list = (beginning: string, items: readonly string[]): string[] => {
  if (items.length === 0) return [];
  const rest = items.length > shown ? ` and ${items.length - shown} more` : '';
  return [`${beginning} ${items.slice(0, shown).join(', ')}${rest}`];
};
