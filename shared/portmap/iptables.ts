import type { Owner } from '../filter/owner.ts';
import type { PodAddress } from '../filter/pod-address.ts';
import { type IptablesTable, quoteWord } from '../kernel/iptables.ts';
import type { PortBinding, PortMapping } from './mapping.ts';
import { boundPorts, type PortmapOptions } from './options.ts';

export const DNAT_CHAIN = 'CNI-HOSTPORT-DNAT';
export const MASQ_CHAIN = 'CNI-HOSTPORT-MASQ';
export const SETMARK_CHAIN = 'CNI-HOSTPORT-SETMARK';

/**
 * Host ports of a pod, of one family, with iptables: the chains and rules of the reference (plugins
 * `plugins/meta/portmap/portmap_iptables.go`), as `iptables-save` prints them, so that either takes away
 * what the other made. Like there, all interfaces of a container on a network share one chain.
 */
export interface IptablesPortmap {
  /** What all pods share, in the order in which the reference makes it. Stays when the last pod goes. */
  frame: { chains: string[]; rules: FrameRule[] };
  /** The pod's own chain, and what it holds. */
  chain: string;
  inChain: string[];
  /** The rules of CNI-HOSTPORT-DNAT that lead to it. */
  jumps: Jump[];
}

interface FrameRule {
  rule: string;
  /** Before the rules of others: those that masquerade pods accept what they leave alone. */
  first: boolean;
}

interface Jump {
  rule: string;
  /** It has conditions, which iptables-save prints in another order or form. */
  conditional: boolean;
  /** What its printed form contains. */
  marks: string[];
}

/** The rules for one family's address. */
export const iptablesPortmap = (
  { network, containerId }: Pick<Owner, 'network' | 'containerId'>,
  options: PortmapOptions,
  pod: PodAddress,
): IptablesPortmap => {
  const chain = portmapChain(network, containerId);
  const conditions = pod.family === 4 ? options.conditionsV4 : options.conditionsV6;
  return {
    frame: frameOf(options),
    chain,
    inChain: boundPorts(options, [pod.family]).flatMap((binding) => portRules(chain, binding, options, pod)),
    jumps: portGroups(options.mappings).map(({ protocol, ports }) =>
      jumpTo(chain, { protocol, ports, comment: ownersComment(network, containerId), conditions }),
    ),
  };
};

/** The chain of a container on a network (plugins `pkg/utils`, MustFormatChainNameWithPrefix). */
export const portmapChain = (network: string, containerId: string): string => {
  const hash = new Bun.CryptoHasher('sha512').update(network + containerId).digest('hex');
  return `CNI-DN-${hash.slice(0, 21)}`;
};

/** All of it for a node that has the frame, or with `fresh` nothing at all: fails when the chain exists. */
export const createCommands = (
  { frame, chain, inChain, jumps }: IptablesPortmap,
  fresh: boolean,
): string[] => [
  ...(fresh ? [...frame.chains.map((name) => `-N ${name}`), ...frame.rules.map(frameCommand)] : []),
  `-N ${chain}`,
  ...inChain,
  ...jumps.map(({ rule }) => rule),
];

/** What `table` lacks, undefined when it has everything. The pod's chain is filled anew when it has other rules. */
export const missingCommands = (wanted: IptablesPortmap, table: IptablesTable): string[] | undefined => {
  const { frame, chain, inChain } = wanted;
  const present = new Set(table.rules);
  const commands = [
    ...[...frame.chains, chain].filter((name) => !table.chains.includes(name)).map((name) => `-N ${name}`),
    ...frame.rules.filter(({ rule }) => !present.has(rule)).map(frameCommand),
    ...(sameTexts(rulesOf(chain, table), inChain) ? [] : [`-F ${chain}`, ...inChain]),
    ...missingJumps(wanted, table).map(({ rule }) => rule),
  ];
  return commands.length === 0 ? undefined : commands;
};

/** What is missing, each for a reader. */
export const findMissing = (wanted: IptablesPortmap, table: IptablesTable): string[] => {
  const present = new Set(table.rules);
  const rules = [...wanted.frame.rules.map(({ rule }) => rule), ...wanted.inChain].filter(
    (rule) => !present.has(rule),
  );
  return [...rules, ...missingJumps(wanted, table).map(({ rule }) => rule)];
};

/** Takes all of it away; fails when something of it is not there, or another rule uses the chain. */
export const removeCommands = ({ chain, jumps }: Pick<IptablesPortmap, 'chain' | 'jumps'>): string[] => [
  ...jumps.map(({ rule }) => deletion(rule)),
  `-F ${chain}`,
  `-X ${chain}`,
];

/** Takes away what `table` holds of a pod's chain; undefined when there is nothing to do. */
export const removePresentCommands = (chain: string, table: IptablesTable): string[] | undefined => {
  const jumps = table.rules.filter(
    (rule) => !rule.startsWith(`-A ${chain} `) && rule.endsWith(` -j ${chain}`),
  );
  const commands = jumps.map(deletion);
  if (table.chains.includes(chain)) commands.push(`-F ${chain}`, `-X ${chain}`);
  return commands.length === 0 ? undefined : commands;
};

/** Takes away the chains of a network's containers that are not in `keep`, with the jumps to them. */
export const collectCommands = (
  network: string,
  keep: readonly string[],
  table: IptablesTable,
): string[] | undefined => {
  const kept = new Set(keep.map((containerId) => portmapChain(network, containerId)));
  const mark = `--comment "dnat name: \\"${network}\\" id: \\"`;
  const stale = new Set(
    table.rules
      .filter((rule) => rule.startsWith(`-A ${DNAT_CHAIN} `) && rule.includes(mark))
      .flatMap((rule) => / -j (CNI-DN-[0-9a-f]{21})$/.exec(rule)?.[1] ?? [])
      .filter((chain) => !kept.has(chain)),
  );
  const commands = [...stale].flatMap((chain) => removePresentCommands(chain, table) ?? []);
  return commands.length === 0 ? undefined : commands;
};

/** Whether the plan uses the chains that mark and masquerade. */
export const usesOwnMark = ({ snat, externalSetMarkChain }: PortmapOptions): boolean =>
  snat && externalSetMarkChain === undefined;

const frameOf = (options: PortmapOptions): IptablesPortmap['frame'] => {
  const mark = markText(options.markMasqBit);
  const later = (rule: string): FrameRule => ({ rule, first: false });
  const dnat = ['PREROUTING', 'OUTPUT'].map((hook) =>
    later(`-A ${hook} -m addrtype --dst-type LOCAL -j ${DNAT_CHAIN}`),
  );
  if (!usesOwnMark(options)) return { chains: [DNAT_CHAIN], rules: dnat };
  return {
    chains: [SETMARK_CHAIN, MASQ_CHAIN, DNAT_CHAIN],
    rules: [
      later(
        `-A ${SETMARK_CHAIN} -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark ${mark}`,
      ),
      later(`-A ${MASQ_CHAIN} -m mark --mark ${mark} -j MASQUERADE`),
      {
        rule: `-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j ${MASQ_CHAIN}`,
        first: true,
      },
      ...dnat,
    ],
  };
};

const frameCommand = ({ rule, first }: FrameRule): string =>
  first ? rule.replace(/^-A (\S+) /, '-I $1 1 ') : rule;

const portRules = (
  chain: string,
  { protocol, hostPort, containerPort, hostAddress }: PortBinding,
  { snat, masqAll, externalSetMarkChain }: PortmapOptions,
  { family, address, subnet }: PodAddress,
): string[] => {
  const to = hostAddress === undefined ? '' : ` -d ${hostAddress}/${family === 4 ? 32 : 128}`;
  const match = `${to} -p ${protocol} -m ${protocol} --dport ${hostPort}`;
  const target = family === 4 ? `${address}:${containerPort}` : `[${address}]:${containerPort}`;
  const local = family === 4 ? [' -s 127.0.0.1/32'] : [];
  const sources = masqAll ? [''] : [` -s ${subnet}`, ...local];
  const marking = sources.map(
    (source) => `-A ${chain}${source}${match} -j ${externalSetMarkChain ?? SETMARK_CHAIN}`,
  );
  return [...(snat ? marking : []), `-A ${chain}${match} -j DNAT --to-destination ${target}`];
};

/** The multiport match takes 15 ports. */
const MULTIPORT_MAX = 15;

const portGroups = (mappings: readonly PortMapping[]): { protocol: string; ports: string }[] =>
  [...new Set(mappings.map(({ protocol }) => protocol))].toSorted().flatMap((protocol) => {
    const ports = mappings.filter((mapping) => mapping.protocol === protocol).map(({ hostPort }) => hostPort);
    const groups = Math.ceil(ports.length / MULTIPORT_MAX);
    return Array.from({ length: groups }, (_, index) => ({
      protocol,
      ports: ports.slice(index * MULTIPORT_MAX, (index + 1) * MULTIPORT_MAX).join(','),
    }));
  });

const jumpTo = (
  chain: string,
  {
    protocol,
    ports,
    comment,
    conditions,
  }: { protocol: string; ports: string; comment: string; conditions: string[] },
): Jump => {
  const match = `-p ${protocol} -m comment --comment ${comment} -m multiport --dports ${ports} `;
  const words = conditions.map((word) => `${quoteWord(word)} `).join('');
  return {
    rule: `-A ${DNAT_CHAIN} ${match}${words}-j ${chain}`,
    conditional: words !== '',
    marks: [`-A ${DNAT_CHAIN} `, ` ${match}`],
  };
};

const missingJumps = ({ chain, jumps }: IptablesPortmap, { rules }: IptablesTable): Jump[] =>
  jumps.filter(({ rule, conditional, marks }) =>
    conditional
      ? !rules.some(
          (present) => present.endsWith(` -j ${chain}`) && marks.every((mark) => present.includes(mark)),
        )
      : !rules.includes(rule),
  );

/** xt_comment holds 256 bytes with the terminating NUL; what is longer, the reference cuts off. */
const ownersComment = (network: string, containerId: string): string => {
  const plain = `dnat name: "${network}" id: "${containerId}"`;
  return quoteWord(plain.length <= 255 ? plain : `${plain.slice(0, 253)}...`);
};

const markText = (bit: number): string => {
  const value = `0x${(2 ** bit).toString(16)}`;
  return `${value}/${value}`;
};

const rulesOf = (chain: string, { rules }: IptablesTable): string[] =>
  rules.filter((rule) => rule.startsWith(`-A ${chain} `));

const sameTexts = (first: readonly string[], second: readonly string[]): boolean =>
  first.length === second.length && first.every((text, index) => text === second[index]);

const deletion = (rule: string): string => rule.replace(/^-A /, '-D ');
