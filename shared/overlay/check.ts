import { vxlanOverhead } from './mtu.ts';
import type { WantedVtep } from './plan.ts';
import { readVtep } from './read.ts';
import type { NodeState } from './types.ts';
import { vtepDifferences } from './vtep-lines.ts';

/**
 * What is wrong with the VTEP that the last sync left, a phrase each; none when it is in order. Cheap: two
 * questions to the kernel, in the netns of the calling thread.
 */
export const checkVtep = (state: NodeState): string[] =>
  vtepDifferences(readVtep(state.device), vtepOf(state));

const vtepOf = ({ device, mac, vni, port, underlay, addresses, ...state }: NodeState): WantedVtep => ({
  ...{ device, mac, vni, port, addresses, local: underlay.address },
  mtu: Math.min(state.mtu, underlay.mtu - vxlanOverhead(underlay.address)),
});
