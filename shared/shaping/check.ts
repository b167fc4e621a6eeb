import type { Findings } from '../attachment/check-pod.ts';
import { hostInterfaceAlias } from '../attachment/host-interface-name.ts';
import type { Owner } from '../filter/owner.ts';
import type { BandwidthKeys } from './bandwidth-keys.ts';
import { ifbNames } from './ifb-name.ts';
import { findShapingLacks } from './lacks.ts';
import { planShaping, type ShapingPlan } from './plan.ts';
import { readShapingRecord } from './record.ts';
import { readShapingState } from './state.ts';

/** CHECK: adds to `findings` where `host`, the host's end of the veth, and the ifb have not what the keys want. */
export const checkBandwidth = (
  owner: Owner,
  keys: BandwidthKeys,
  host: { name: string; mtu: number },
  findings: Findings,
): void => {
  const record = readShapingRecord(owner);
  const [name] = ifbNames(owner);
  const ifb = record?.shaping.egress?.ifb ?? { name, alias: hostInterfaceAlias(owner), mac: '' };
  // An MTU that was changed after ADD does not make the burst that followed from it wrong.
  const mtu = record?.shaping.mtu ?? host.mtu;
  checkShaping(planShaping(keys, { device: host.name, mtu }, ifb), findings);
};

const checkShaping = (plan: ShapingPlan, findings: Findings): void => {
  for (const { what } of findShapingLacks(plan, readShapingState(plan))) findings.add(what);
};
