import type { Findings } from '../attachment/check-pod.ts';
import { ownerOf } from '../attachment/owner.ts';
import type { Call } from '../cni/plugin.ts';
import { emptyResult } from '../cni/types.ts';
import { firewallLacks } from '../firewall/attachment.ts';
import type { LinkState } from '../kernel/link.ts';
import { findPortmapLacks } from '../portmap/check.ts';
import { portmapAddresses } from '../portmap/pod-addresses.ts';
import { wantsShaping } from '../shaping/bandwidth-keys.ts';
import { checkBandwidth } from '../shaping/check.ts';
import type { FeatureKeys } from './feature-keys.ts';

/** CHECK: adds to `findings` what the features lack; `host` is the host end of the pod's veth. */
export const checkFeatures = (
  call: Call,
  { portmap, bandwidth, firewall }: FeatureKeys,
  host: LinkState | undefined,
  findings: Findings,
): void => {
  const owner = ownerOf(call);
  if (portmap !== undefined && portmap.mappings.length > 0) {
    const addresses = portmapAddresses(call.config.prevResult ?? emptyResult(), call.env.ifname);
    for (const lack of findPortmapLacks({ owner, options: portmap, addresses })) findings.add(lack);
  }
  // Without the host end there is nothing to compare, which is found already.
  if (bandwidth !== undefined && wantsShaping(bandwidth) && host !== undefined) {
    checkBandwidth(owner, bandwidth, host, findings);
  }
  if (firewall !== undefined) for (const lack of firewallLacks(call, firewall)) findings.add(lack);
};
