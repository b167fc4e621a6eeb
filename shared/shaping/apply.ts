import type { Undo } from '../attachment/undo.ts';
import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import type { Owner } from '../filter/owner.ts';
import { startIp, type WaitingIp } from '../kernel/ip-batch.ts';
import { startTc, type WaitingTc } from '../kernel/tc-batch.ts';
import { removeAttachment } from '../store/attachments.ts';
import type { BandwidthKeys } from './bandwidth-keys.ts';
import { explainingIfb } from './ifb.ts';
import { findShapingLacks } from './lacks.ts';
import { isSet, mendShaping } from './mend.ts';
import type { ShapingPlan } from './plan.ts';
import { readShapingRecord, type ShapingRecord, saveShapingRecord, shapingRecords } from './record.ts';
import { removeShaping } from './remove.ts';
import { readShapingState, type ShapingState } from './state.ts';

/** The tools an ADD needs, started while it still looks around. */
export interface ShapingTools {
  /** Only an ifb needs it. */
  ip: WaitingIp | undefined;
  tc: WaitingTc;
}

/** Starts them; the undo ends those not used. Throws CniError 100 when one is missing. */
export const startShapingTools = ({ egress }: BandwidthKeys, undo: Undo): ShapingTools => {
  const ip = egress === undefined ? undefined : startIp();
  undo.add('end the waiting ip', () => ip?.dismiss());
  const tc = startTc();
  undo.add('end the waiting tc', () => tc.dismiss());
  return { ip, tc };
};

/**
 * Puts a plan into force on an interface that exists: record, then `ip`, then `tc`, with the undo. What a
 * killed ADD of this attachment left is replaced. Throws CniError 103 when the interface is shaped or
 * filtered by somebody else already, 104 that names what the kernel has not, 100, and 106 by the checkpoint.
 */
export const applyShaping = async (
  call: Call,
  owner: Owner,
  plan: ShapingPlan,
  { ip, tc }: ShapingTools,
  undo: Undo,
): Promise<void> => {
  const state = readShapingState(plan);
  requireFreeDevice(plan, state, readShapingRecord(owner));
  const record = { netns: call.env.netns, hostIndex: state.device?.index ?? 0, shaping: plan };
  const { network, containerId, ifname } = owner;
  undo.add('forget the shaping', () => removeAttachment(network, containerId, ifname, shapingRecords));
  saveShapingRecord(owner, record, false);
  undo.add('remove the shaping', () => removeShaping(owner, undefined));
  const batches = mendShaping(plan, state, findShapingLacks(plan, state));
  if (ip !== undefined && batches.ip.size > 0)
    explainingIfb(() => ip.run(batches.ip, 'could not make the ifb'));
  ip?.dismiss();
  await call.checkpoint();
  tc.run(batches.tc, `could not limit the bandwidth on "${plan.device}"`);
  await call.checkpoint();
  saveShapingRecord(owner, record, true);
};

const requireFreeDevice = (
  plan: ShapingPlan,
  { device, root, ingress, ingressFilters }: ShapingState,
  record: ShapingRecord | undefined,
): void => {
  const isLeftover = record !== undefined && record.complete !== true && record.hostIndex === device?.index;
  if (isLeftover) return;
  if (plan.ingress !== undefined && isSet(root)) {
    throw inTheWay(plan.device, `the queueing discipline "${root?.kind}" at its root`);
  }
  const [filter] = ingressFilters;
  if (plan.egress !== undefined && filter !== undefined) {
    throw inTheWay(plan.device, `a filter (${filter.kind}) in "${ingress?.kind}"`);
  }
};

const inTheWay = (device: string, what: string): CniError =>
  new CniError(ErrorCode.conflict, `"${device}" has ${what} already`, {
    details:
      'Either the container is limited already, then DEL it first; or another program shapes or filters it.',
  });
