import { contains, parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';

/** A table of a packet filter, as far as it decides what is forwarded. */
export interface ForwardTable {
  /** `inet firewalld`. */
  label: string;
  /** The chains that the kernel itself calls for what is forwarded. */
  base: { chain: string; policy: Verdict }[];
  rules: ForwardRule[];
  /** What its sets and maps hold: see `ForwardRule.names`. */
  setNames: string[];
}

export type Verdict = 'accept' | 'drop';

export interface ForwardRule {
  chain: string;
  /** It does not hold for every packet. */
  conditional: boolean;
  /** Addresses, prefixes, ranges (`10.1.0.1-10.1.0.9`) and interfaces (`veth*`) that it compares with. */
  names: string[];
  verdict?: Verdict;
  /** The chain it jumps or goes to. */
  target?: string;
}

/** A pod as a packet filter sees it. */
export interface ForwardedPod {
  addresses: string[];
  /** The host interface and its bridge. */
  interfaces: string[];
}

/** The base chains that drop whatever no rule accepts, by their policy or by a rule for everything. */
export const closedChains = (table: ForwardTable): string[] =>
  table.base
    .filter(({ chain, policy }) => (verdictForAll(table, chain) ?? policy) === 'drop')
    .map(({ chain }) => chain);

/**
 * Whether a table may let a pod's traffic pass: a rule that does not drop, or a set, names its address, a
 * prefix around it, or its interface. Whether that really lets pass what it must only the kernel knows.
 */
export const namesPod = ({ rules, setNames }: ForwardTable, pod: ForwardedPod): boolean => {
  const names = [...setNames, ...rules.flatMap((rule) => (rule.verdict === 'drop' ? [] : rule.names))];
  return names.some(
    (name) =>
      pod.addresses.some((address) => covers(name, address)) ||
      pod.interfaces.some((link) => coversInterface(name, link)),
  );
};

/** What a chain does with every packet; undefined when it leaves that open. */
const verdictForAll = (
  table: ForwardTable,
  chain: string,
  visited: ReadonlySet<string> = new Set(),
): Verdict | undefined => {
  if (visited.has(chain)) return undefined;
  for (const rule of table.rules) {
    if (rule.chain !== chain || rule.conditional) continue;
    const verdict =
      rule.verdict ??
      (rule.target === undefined
        ? undefined
        : verdictForAll(table, rule.target, new Set([...visited, chain])));
    if (verdict !== undefined) return verdict;
  }
  return undefined;
};

const covers = (name: string, text: string): boolean => {
  const address = parseAddress(text);
  if (address === undefined) return false;
  const single = parseAddress(name);
  if (single !== undefined) return single.family === address.family && single.value === address.value;
  const [first, last] = name.split('-').map(parseAddress);
  if (first !== undefined && last !== undefined && first.family === address.family) {
    return first.value <= address.value && address.value <= last.value;
  }
  const prefix = parseCidr(name);
  // The prefix of everything names nobody.
  return prefix !== undefined && prefix.prefixLength > 0 && contains(prefix, address);
};

const coversInterface = (name: string, link: string): boolean =>
  name === link || (name.length > 1 && name.endsWith('*') && link.startsWith(name.slice(0, -1)));
