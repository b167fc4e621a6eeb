import { formerOverlays } from '../shared/overlay/former-overlays.ts';
import { removeForwardRules } from '../shared/overlay/forward-rules.ts';
import { removeOutgoingNat } from '../shared/overlay/nat-outgoing.ts';
import { removeOverlay } from '../shared/overlay/remove.ts';
import type { NodeState, OverlayNode } from '../shared/overlay/types.ts';
import { withAgentLock } from './lock.ts';

/**
 * Runs `sync` with the overlays of other VNIs that this node has been in with these pod prefixes (a changed `--vni`),
 * then takes these off: only when the routes lead over the new VTEP. Throws CniError 103 while an agent keeps such an
 * overlay, as the two would take each other's routes away, and what the sync throws.
 */
export const takeOver = async <T>(
  own: OverlayNode,
  vni: number,
  sync: (former: readonly NodeState[]) => Promise<T>,
): Promise<{ result: T; former: readonly NodeState[] }> => {
  const former = formerOverlays(own, vni);
  const locked = former.reduceRight<() => Promise<T>>(
    (body, state) => () => withAgentLock(state.vni, body, samePods(state)),
    async () => {
      const result = await sync(former);
      for (const state of former) await removeFormer(state.vni);
      return result;
    },
  );
  return { result: await locked(), former };
};

const samePods = ({ podCIDRs }: NodeState): string =>
  `Two overlays cannot have the same pods (${podCIDRs.join(', ')}): stop that agent first, and this one takes over.`;

const removeFormer = async (vni: number): Promise<void> => {
  await removeOutgoingNat(vni);
  await removeForwardRules(vni);
  // Last, as its state is what the next agent would find it by.
  await removeOverlay(vni);
};
