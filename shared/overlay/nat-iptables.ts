import { prefixesOf } from './address-ranges.ts';
import { formatMatch, type NatPlan } from './nat-plan.ts';
import { type OwnedChain, overlayComment } from './owned-chain.ts';

/**
 * What leaves from this node's pods goes through a chain of ours, which leaves alone what is excluded and
 * masquerades the rest; one rule in POSTROUTING for each prefix of this node. `randomFully` where the program
 * knows it (1.6.2).
 */
export const iptablesNat = (plan: NatPlan, family: 4 | 6, randomFully: boolean): OwnedChain => {
  const chain = natChain(plan.vni);
  const comment = overlayComment(plan.vni);
  const prefixes = (of: 'sources' | 'excluded') =>
    plan[of].filter((range) => range.family === family).flatMap(prefixesOf);
  return {
    chain,
    jumps: prefixes('sources').map(
      (prefix) => `-A POSTROUTING${formatMatch('-s', prefix)} ${comment} -j ${chain}`,
    ),
    inChain: [
      ...prefixes('excluded').map((prefix) => `-A ${chain}${formatMatch('-d', prefix)} ${comment} -j RETURN`),
      `-A ${chain} ${comment} -j MASQUERADE${randomFully ? ' --random-fully' : ''}`,
    ],
  };
};

export const natChain = (vni: number): string => `PODWIRE-OVERLAY-${vni}`;
