import { checkBridge } from '../../shared/attachment/bridge/check.ts';
import type { Findings } from '../../shared/attachment/check-pod.ts';
import { checkVeth } from '../../shared/attachment/veth/check.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { parseVxlanConfig } from './config.ts';
import { overlayLacks } from './lacks.ts';
import { anyRanges, withNodeRanges } from './node-ranges.ts';
import { recordedPrefixes } from './record.ts';

/** CHECK: what the veth or bridge plugin checks, and the node's overlay. */
export const checkOverlayPod = async (call: Call): Promise<void> => {
  const config = parseVxlanConfig(call);
  const own = withNodeRanges(call, recordedPrefixes(call) ?? anyRanges);
  const further = async (findings: Findings): Promise<void> => {
    for (const lack of await overlayLacks(call, config)) findings.add(lack);
  };
  const { attachment } = config;
  if (attachment.by === 'bridge') await checkBridge(own, attachment.config, further);
  else await checkVeth(own, attachment.config, further);
};
