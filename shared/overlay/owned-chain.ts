import { type IptablesTable, quoteWord } from '../kernel/iptables.ts';

/** A chain of ours and the rules of a built-in chain that lead to it, as `iptables-save` prints them. */
export interface OwnedChain {
  chain: string;
  /** `-A <built-in chain> … -j <chain>`. */
  jumps: string[];
  inChain: string[];
  /** The jumps come before all that drops; else they are added at the end. */
  first?: true;
}

/**
 * The transaction that gives the table these rules, undefined when it has them. A chain that differs is
 * written anew: declaring it empties it, which nobody sees, as all takes effect at once.
 */
export const chainCommands = (wanted: OwnedChain, table: IptablesTable): string[] | undefined => {
  const { chain, jumps, inChain, first } = wanted;
  const present = ownRules(chain, table);
  // What others put before ours and that drops nothing may stay there: who is first is not to be fought about.
  const late = first && isAfterDrop(chain, table) ? present.jumps : [];
  const inPlace = late.length > 0 ? [] : present.jumps;
  const commands = [
    ...(table.chains.includes(chain) && sameList(present.inChain, inChain)
      ? []
      : [`:${chain} - [0:0]`, ...inChain]),
    ...late.map(deletion),
    ...without(inPlace, jumps).map(deletion),
    ...without(jumps, inPlace).map((rule) => (first ? insertion(rule) : rule)),
  ];
  return commands.length === 0 ? undefined : commands;
};

/** The transaction that takes the chain and the jumps to it away, undefined when there is none. */
export const chainRemoval = (chain: string, table: IptablesTable): string[] | undefined => {
  if (!table.chains.includes(chain)) return undefined;
  return [...ownRules(chain, table).jumps.map(deletion), `-F ${chain}`, `-X ${chain}`];
};

/** Says whose a rule is. */
export const overlayComment = (vni: number): string =>
  `-m comment --comment ${quoteWord(`podwire overlay ${vni}`)}`;

const ownRules = (chain: string, { rules }: IptablesTable): Pick<OwnedChain, 'jumps' | 'inChain'> => ({
  jumps: rules.filter((rule) => rule.endsWith(` -j ${chain}`)),
  inChain: rules.filter((rule) => rule.startsWith(`-A ${chain} `)),
});

/** Whether a rule of the chain that leads to ours drops something before ours is asked. */
const isAfterDrop = (chain: string, { rules }: IptablesTable): boolean => {
  const last = rules.findLastIndex((rule) => rule.endsWith(` -j ${chain}`));
  if (last < 0) return false;
  const [, from] = /^-A (\S+) /.exec(rules[last] ?? '') ?? [];
  return rules
    .slice(0, last)
    .some((rule) => rule.startsWith(`-A ${from} `) && / -j (DROP|REJECT)\b/.test(rule));
};

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

const insertion = (rule: string): string => rule.replace(/^-A (\S+)/, '-I $1 1');

const sameList = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((item, index) => item === other[index]);
