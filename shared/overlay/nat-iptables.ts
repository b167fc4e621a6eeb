import { type IptablesTable, quoteWord } from '../kernel/iptables.ts';
import { prefixesOf } from './address-ranges.ts';
import { formatMatch, type NatPlan } from './nat-plan.ts';

/** The rules of one family, as `iptables-save` prints them. */
export interface IptablesNat {
  chain: string;
  /** One rule in POSTROUTING for each prefix of this node. */
  jumps: string[];
  inChain: string[];
}

/**
 * What leaves from this node's pods goes through a chain of ours, which leaves alone what is excluded and
 * masquerades the rest. `randomFully` where the program knows it (1.6.2).
 */
export const iptablesNat = (plan: NatPlan, family: 4 | 6, randomFully: boolean): IptablesNat => {
  const chain = natChain(plan.vni);
  const comment = commentMatch(plan.vni);
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

/**
 * The transaction that gives the table these rules, undefined when it has them. A chain that differs is
 * written anew: declaring it empties it, which nobody sees, as all takes effect at once.
 */
export const natCommands = (wanted: IptablesNat, table: IptablesTable): string[] | undefined => {
  const { chain, jumps, inChain } = wanted;
  const present = ownRules(chain, table);
  const commands = [
    ...(table.chains.includes(chain) && sameList(present.inChain, inChain)
      ? []
      : [`:${chain} - [0:0]`, ...inChain]),
    ...without(present.jumps, jumps).map(deletion),
    ...without(jumps, present.jumps),
  ];
  return commands.length === 0 ? undefined : commands;
};

/** The transaction that takes the chain and the jumps to it away, undefined when there is none. */
export const natRemoval = (chain: string, table: IptablesTable): string[] | undefined => {
  if (!table.chains.includes(chain)) return undefined;
  return [...ownRules(chain, table).jumps.map(deletion), `-F ${chain}`, `-X ${chain}`];
};

const commentMatch = (vni: number): string => `-m comment --comment ${quoteWord(`podwire overlay ${vni}`)}`;

const ownRules = (chain: string, { rules }: IptablesTable): Pick<IptablesNat, 'jumps' | 'inChain'> => ({
  jumps: rules.filter((rule) => rule.endsWith(` -j ${chain}`)),
  inChain: rules.filter((rule) => rule.startsWith(`-A ${chain} `)),
});

/** The items of a list that another has not; one that is twice in the first and once in the other counts once. */
const without = (items: readonly string[], others: readonly string[]): string[] => {
  const left = [...others];
  return items.filter((item) => {
    const index = left.indexOf(item);
    if (index >= 0) left.splice(index, 1);
    return index < 0;
  });
};

const deletion = (rule: string): string => rule.replace(/^-A/, '-D');

const sameList = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((item, index) => item === other[index]);
