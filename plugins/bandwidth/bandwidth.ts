import { Findings } from '../../shared/attachment/check-pod.ts';
import { containerNetnsIfPresent, requireContainerNetns } from '../../shared/attachment/container-netns.ts';
import { ownerOf } from '../../shared/attachment/owner.ts';
import { withUndo } from '../../shared/attachment/undo.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Call, Plugin } from '../../shared/cni/plugin.ts';
import type { Result } from '../../shared/cni/types.ts';
import { applyShaping, startShapingTools } from '../../shared/shaping/apply.ts';
import { parseBandwidthForRemoval, wantsShaping } from '../../shared/shaping/bandwidth-keys.ts';
import { checkBandwidth } from '../../shared/shaping/check.ts';
import { collectShaping } from '../../shared/shaping/collect.ts';
import { requireHostInterface } from '../../shared/shaping/host-interface.ts';
import { chooseIfb } from '../../shared/shaping/ifb.ts';
import { planShaping, type ShapingPlan } from '../../shared/shaping/plan.ts';
import { readShapingRecord } from '../../shared/shaping/record.ts';
import { removeShaping } from '../../shared/shaping/remove.ts';
import { shapingStatus } from '../../shared/shaping/status.ts';
import { parseConfig, prevResultOf } from './config.ts';

/** ADD: limits the host's end of the veth that another plugin made; without rates, it passes prevResult on. */
const add = (call: Call): Promise<Result> | Result => {
  const keys = parseConfig(call);
  const prevResult = prevResultOf(call);
  if (!wantsShaping(keys)) return prevResult;
  return withUndo(async (undo) => {
    const owner = ownerOf(call);
    const netns = requireContainerNetns(call.env);
    const tools = startShapingTools(keys, undo);
    const { name: device, mtu } = requireHostInterface(netns, call.env.ifname, prevResult);
    const plan = planShaping(keys, { device, mtu }, chooseIfb(owner, readShapingRecord(owner)?.shaping));
    await call.checkpoint();
    await applyShaping(call, owner, plan, tools, undo);
    return withIfb(prevResult, plan);
  });
};

/** The ifb is an interface of the host, as the reference reports it. */
const withIfb = (result: Result, { egress }: ShapingPlan): Result => {
  if (egress === undefined) return result;
  const { name, mac } = egress.ifb;
  return { ...result, interfaces: [...result.interfaces, { name, mac }] };
};

const del = (call: Call): Promise<void> => {
  const { json, runtimeConfig } = call.config;
  const { ingress } = parseBandwidthForRemoval(new Fields(json), runtimeConfig);
  return removeShaping(ownerOf(call), containerNetnsIfPresent(call.env), ingress !== undefined);
};

/** CHECK: compares the host's end of the veth, the ifb and the filters between them with the configuration. */
const check = (call: Call): void => {
  const keys = parseConfig(call);
  if (!wantsShaping(keys)) return;
  const owner = ownerOf(call);
  const netns = requireContainerNetns(call.env);
  const host = requireHostInterface(netns, call.env.ifname, prevResultOf(call));
  const findings = new Findings();
  checkBandwidth(owner, keys, host, findings);
  findings.throwIfAny();
};

/** Limits the bandwidth of a container that another plugin has attached by a veth. */
export const plugin: Plugin = {
  title: 'bandwidth',
  minVersion: '0.3.0',
  add,
  del,
  check,
  gc: ({ config, startedAt = Date.now() }, valid) => collectShaping(config.name, valid, startedAt),
  status: (call) => shapingStatus(parseConfig(call)),
};
