import { attachToBridge } from '../../shared/attachment/bridge/attach.ts';
import { attachByVeth } from '../../shared/attachment/veth/attach.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { Result } from '../../shared/cni/types.ts';
import type { NodeState } from '../../shared/overlay/types.ts';
import { parseVxlanConfig, type VxlanConfig } from './config.ts';
import { withNodeRanges } from './node-ranges.ts';
import { nodeOverlay } from './overlay.ts';
import { overlayRecord } from './record.ts';

/**
 * ADD: attaches the pod as the veth or bridge plugin does, with the overlay's MTU and this node's prefixes, and sees
 * to the node's overlay on the way. That stays when the ADD fails after it, as a bridge does.
 */
export const addToOverlay = async (call: Call): Promise<Result> => {
  const config = parseVxlanConfig(call);
  const { state, bringAbout } = nodeOverlay(call, config);
  const mtu = podMtu(call, config, state);
  const attacher = { plugin: 'vxlan', record: overlayRecord(state), prepareHost: bringAbout };
  const own = withNodeRanges(call, state.podCIDRs);
  const { attachment } = config;
  return attachment.by === 'bridge'
    ? attachToBridge(own, { ...attachment.config, mtu }, attacher)
    : attachByVeth(own, { ...attachment.config, mtu }, attacher);
};

/** What the overlay carries, or the smaller one that is configured. Throws CniError 7 for a larger one. */
const podMtu = (call: Call, { attachment }: VxlanConfig, { mtu, device, underlay }: NodeState): number => {
  const wanted = attachment.config.mtu;
  if (wanted === undefined || wanted <= mtu) return wanted ?? mtu;
  throw new Fields(call.config.json).invalid(
    'mtu',
    `is more than the ${mtu} bytes that the overlay carries`,
    `"${device}" sends by "${underlay.device}", whose MTU is ${underlay.mtu}. Leave "mtu" out, or make it ${mtu} at most.`,
  );
};
