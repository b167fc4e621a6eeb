import { type IptablesTable, quoteWord } from '../kernel/iptables.ts';
import type { PodAddress } from './pod-address.ts';

/**
 * The rules that the reference plugins make for `ipMasq` with iptables, as `iptables-save` prints them
 * (plugins `pkg/ip/ipmasq_iptables_linux.go`). Chain, comment and rules are the same, so that pods made
 * by either can be taken away by the other. Like there, all interfaces of a container on a network
 * share one chain.
 */
export interface IptablesMasquerade {
  chain: string;
  /** The match that marks all of its rules. */
  comment: string;
  /** What the chain itself holds. */
  inChain: string[];
  /** One rule in POSTROUTING for each address. */
  jumps: string[];
}

/** The rules for addresses of one family. Exemptions come first: with several subnets all are exempt. */
export const iptablesMasquerade = (
  network: string,
  containerId: string,
  addresses: readonly PodAddress[],
): IptablesMasquerade => {
  const chain = chainName(network, containerId);
  const comment = `-m comment --comment ${quoteWord(ruleComment(network, containerId))}`;
  const multicast = addresses[0]?.family === 6 ? 'ff00::/8' : '224.0.0.0/4';
  return {
    chain,
    comment,
    inChain: [
      ...new Set(addresses.map(({ subnet }) => `-A ${chain} -d ${subnet} ${comment} -j ACCEPT`)),
      `-A ${chain} ! -d ${multicast} ${comment} -j MASQUERADE`,
    ],
    jumps: addresses.map(
      ({ address, family }) =>
        `-A POSTROUTING -s ${address}/${family === 4 ? 32 : 128} ${comment} -j ${chain}`,
    ),
  };
};

/** The chain of a container on a network (plugins `pkg/utils`, FormatChainName). */
export const chainName = (network: string, containerId: string): string => {
  const hash = new Bun.CryptoHasher('sha512').update(network + containerId).digest('hex');
  return `CNI-${hash.slice(0, 24)}`;
};

/** All of it, for a node that has nothing of the chain: fails when the chain exists. */
export const createCommands = ({ chain, inChain, jumps }: IptablesMasquerade): string[] => [
  `-N ${chain}`,
  ...inChain,
  ...jumps,
];

/** What `table` lacks, undefined when it has everything. */
export const missingCommands = (wanted: IptablesMasquerade, table: IptablesTable): string[] | undefined => {
  const missing = missingRules(wanted, table);
  if (!table.chains.includes(wanted.chain)) return [`-N ${wanted.chain}`, ...missing];
  // Behind a rule that masquerades, an exemption would exempt nothing.
  const exemption = `-A ${wanted.chain} -d `;
  const commands = [
    ...strangeRules(wanted, table).map(deletion),
    ...missing.map((rule) => (rule.startsWith(exemption) ? rule.replace(/^-A/, '-I') : rule)),
  ];
  return commands.length === 0 ? undefined : commands;
};

/** The rules that `table` lacks. */
export const missingRules = ({ inChain, jumps }: IptablesMasquerade, { rules }: IptablesTable): string[] => {
  const present = new Set(rules);
  return [...inChain, ...jumps].filter((rule) => !present.has(rule));
};

/**
 * The rules in the chain that are not ours. Those of the container's other interfaces on the network are:
 * exemptions of other subnets.
 */
export const strangeRules = (
  { chain, comment, inChain }: IptablesMasquerade,
  { rules }: IptablesTable,
): string[] => {
  const exemption = { start: `-A ${chain} -d `, end: ` ${comment} -j ACCEPT` };
  return rules.filter(
    (rule) =>
      rule.startsWith(`-A ${chain} `) &&
      !inChain.includes(rule) &&
      !(rule.startsWith(exemption.start) && rule.endsWith(exemption.end)),
  );
};

/** Takes all of it away; fails when something of it is not there, or another rule uses the chain. */
export const removeCommands = ({ chain, jumps }: Pick<IptablesMasquerade, 'chain' | 'jumps'>): string[] => [
  ...jumps.map(deletion),
  `-F ${chain}`,
  `-X ${chain}`,
];

/**
 * Takes away what `table` holds of a chain: the jumps that `isGoing`, or all jumps, and the chain when no
 * other jump is left. undefined when there is nothing to do.
 */
export const removePresentCommands = (
  chain: string,
  table: IptablesTable,
  isGoing: (jump: string) => boolean = () => true,
): string[] | undefined => {
  const present = table.rules.filter((rule) => jumpsTo(rule, chain));
  const going = present.filter(isGoing);
  const commands = going.map(deletion);
  if (going.length === present.length && table.chains.includes(chain))
    commands.push(`-F ${chain}`, `-X ${chain}`);
  return commands.length === 0 ? undefined : commands;
};

/** An interface that a container has no more, with the addresses that it had and no other has. */
export interface GoneInterface {
  containerId: string;
  addresses: readonly PodAddress[];
}

/**
 * Takes away the chains of a network's containers that are not in `keep`, with the jumps to them; of those
 * in `keep`, the jumps of interfaces that are `gone`.
 */
export const collectCommands = (
  network: string,
  keep: readonly string[],
  table: IptablesTable,
  gone: readonly GoneInterface[] = [],
): string[] | undefined => {
  const kept = new Set(keep.map((containerId) => chainName(network, containerId)));
  const marks = networkMarks(network);
  const stale = table.chains.filter(
    (chain) =>
      CHAIN.test(chain) &&
      !kept.has(chain) &&
      table.rules.some(
        (rule) => rule.startsWith(`-A ${chain} `) && marks.some((mark) => rule.includes(mark)),
      ),
  );
  const commands = stale.flatMap((chain) => removePresentCommands(chain, table) ?? []);
  for (const { containerId, addresses } of gone) {
    const { chain, jumps } = iptablesMasquerade(network, containerId, addresses);
    if (!kept.has(chain)) continue;
    const present = table.rules.filter((rule) => jumps.includes(rule));
    commands.push(...present.map(deletion));
  }
  return commands.length === 0 ? undefined : commands;
};

const CHAIN = /^CNI-[0-9a-f]{24}$/;

/** xt_comment holds 256 bytes with the terminating NUL. */
const COMMENT_MAX = 255;

/**
 * The reference's comment. One that is too long, with which the reference fails, has hashes after `#`,
 * which no name begins with.
 */
const ruleComment = (network: string, containerId: string): string => {
  const plain = `name: "${network}" id: "${containerId}"`;
  return plain.length <= COMMENT_MAX ? plain : `name: "${hashed(network)}" id: "${hashed(containerId)}"`;
};

const hashed = (name: string): string =>
  `#${new Bun.CryptoHasher('sha256').update(name).digest('hex').slice(0, 32)}`;

/** What the rules of a network's containers contain, as `iptables-save` prints it. */
const networkMarks = (network: string): string[] =>
  [network, hashed(network)].map((name) => `--comment "name: \\"${name}\\" id: \\"`);

const jumpsTo = (rule: string, chain: string): boolean =>
  rule.startsWith('-A POSTROUTING ') && rule.endsWith(` -j ${chain}`);

const deletion = (rule: string): string => rule.replace(/^-A /, '-D ');
