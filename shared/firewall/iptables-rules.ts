import type { IptablesTable } from '../kernel/iptables.ts';
import type { IngressPolicy } from './options.ts';

/**
 * The rules of the reference plugin in the filter table, as `iptables-save` prints them (plugins
 * `meta/firewall/iptables.go`, `ingresspolicy.go`): the same text, so that either takes away what the other
 * made. Like there, a pod's rules bear no name: they are known by its address.
 */
export interface FirewallRules {
  adminChain: string;
  /** In the order in which the reference makes them. */
  chains: string[];
  /** What all pods share, in the order in which the reference puts it in. */
  frame: FrameRule[];
  /** Two for each address, appended to CNI-FORWARD. */
  pods: string[];
}

interface FrameRule {
  /** With `-A`. */
  rule: string;
  /** At the head of its chain, else at the end. */
  first: boolean;
}

export const FORWARD_CHAIN = 'CNI-FORWARD';
export const STAGE_1 = 'CNI-ISOLATION-STAGE-1';
export const STAGE_2 = 'CNI-ISOLATION-STAGE-2';
export const DEFAULT_ADMIN_CHAIN = 'CNI-ADMIN';

export interface FirewallRequest {
  /** Of one family, in canonical text. Without any, there are no accepts, only the policy. */
  addresses: readonly string[];
  adminChain: string;
  policy: IngressPolicy;
  /** Counts with a policy only. */
  device: string;
}

/** The rules for a pod. */
export const firewallRules = ({ addresses, adminChain, policy, device }: FirewallRequest): FirewallRules => {
  const accepts = addresses.length > 0;
  const isolates = policy !== 'open';
  return {
    adminChain,
    chains: [...(accepts ? [FORWARD_CHAIN, adminChain] : []), ...(isolates ? [STAGE_1, STAGE_2] : [])],
    frame: [...(accepts ? acceptFrame(adminChain) : []), ...(isolates ? isolationFrame(policy, device) : [])],
    pods: podRules(addresses),
  };
};

/** The rules of pods alone. */
export const podRules = (addresses: readonly string[]): string[] =>
  addresses.flatMap((address) => {
    const cidr = `${address}/${address.includes(':') ? 128 : 32}`;
    return [
      `-A ${FORWARD_CHAIN} -d ${cidr} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
      `-A ${FORWARD_CHAIN} -s ${cidr} -j ACCEPT`,
    ];
  });

/** The commands for what `table` lacks; undefined when it lacks nothing. */
export const missingFirewall = (wanted: FirewallRules, table: IptablesTable): string[] | undefined => {
  const rules = new Set(table.rules);
  const commands = [
    ...wanted.chains.filter((chain) => !table.chains.includes(chain)).map((chain) => `-N ${chain}`),
    ...orderedAgain(wanted, table),
    ...wanted.frame.filter(({ rule }) => !rules.has(rule)).map((entry) => frameCommand(entry, table)),
    ...wanted.pods.filter((rule) => !rules.has(rule)),
  ];
  return commands.length === 0 ? undefined : commands;
};

/** What `table` lacks, for a reader. */
export const firewallLacks = (wanted: FirewallRules, table: IptablesTable): string[] => {
  const rules = new Set(table.rules);
  return [
    ...wanted.chains
      .filter((chain) => !table.chains.includes(chain))
      .map((chain) => `chain ${chain} is missing`),
    ...[...wanted.frame.map(({ rule }) => rule), ...wanted.pods]
      .filter((rule) => !rules.has(rule))
      .map((rule) => `rule "${rule}" is missing`),
    ...(isBehind(wanted, table) ? [`${STAGE_1} comes after ${FORWARD_CHAIN}`] : []),
  ];
};

/** The commands that take away pods' rules, each as often as `table` has it; undefined when it has none. */
export const removedFirewall = (pods: readonly string[], table: IptablesTable): string[] | undefined => {
  const going = new Set(pods);
  const commands = table.rules.filter((rule) => going.has(rule)).map(deletion);
  return commands.length === 0 ? undefined : commands;
};

/** The deletions, for a table that has each rule once. */
export const deletions = (pods: readonly string[]): string[] => pods.map(deletion);

/** Whether FORWARD has anything to say: then only an accept in there lets a pod's traffic pass for certain. */
export const forwardIsUsed = (table: IptablesTable): boolean =>
  table.dropping.includes('FORWARD') || table.rules.some((rule) => rule.startsWith('-A FORWARD '));

/** Whether FORWARD itself drops or rejects anything. */
export const forwardDrops = (table: IptablesTable): boolean =>
  table.dropping.includes('FORWARD') ||
  table.rules.some((rule) => /^-A FORWARD .*-j (DROP|REJECT)\b/.test(rule));

const acceptFrame = (adminChain: string): FrameRule[] => [
  { rule: `-A FORWARD ${comment('CNI firewall plugin rules')} -j ${FORWARD_CHAIN}`, first: true },
  {
    rule: `-A ${FORWARD_CHAIN} ${comment('CNI firewall plugin admin overrides')} -j ${adminChain}`,
    first: true,
  },
];

const isolationFrame = (policy: 'same-bridge' | 'isolated', device: string): FrameRule[] => {
  const ofAll = comment('CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)');
  const own = comment(`CNI firewall plugin rules (ingressPolicy: ${policy})`);
  return [
    { rule: `-A FORWARD ${ofAll} -j ${STAGE_1}`, first: true },
    { rule: `-A ${STAGE_1} -i ${device} ! -o ${device} ${own} -j ${STAGE_2}`, first: true },
    ...(policy === 'isolated'
      ? [{ rule: `-A ${STAGE_1} -i ${device} -o ${device} ${own} -j DROP`, first: true }]
      : []),
    { rule: `-A ${STAGE_1} ${ofAll} -j RETURN`, first: false },
    { rule: `-A ${STAGE_2} -o ${device} ${ofAll} -j DROP`, first: true },
    { rule: `-A ${STAGE_2} ${ofAll} -j RETURN`, first: false },
  ];
};

/** The jump to CNI-FORWARD goes behind one to the isolation: what a policy drops must not be accepted before. */
const frameCommand = ({ rule, first }: FrameRule, table: IptablesTable): string => {
  if (!first) return rule;
  const isolationAt = rule.endsWith(` -j ${FORWARD_CHAIN}`) ? forwardIndex(table, STAGE_1) : -1;
  const [, chain = '', rest = ''] = /^-A (\S+) (.*)$/.exec(rule) ?? [];
  return `-I ${chain} ${isolationAt + 2} ${rest}`;
};

/** Puts the isolation in front again where something put CNI-FORWARD before it. */
const orderedAgain = (wanted: FirewallRules, table: IptablesTable): string[] => {
  if (!isBehind(wanted, table)) return [];
  const jump =
    table.rules.filter((rule) => rule.startsWith('-A FORWARD '))[forwardIndex(table, STAGE_1)] ?? '';
  return [deletion(jump), jump.replace(/^-A FORWARD /, '-I FORWARD 1 ')];
};

const isBehind = (wanted: FirewallRules, table: IptablesTable): boolean => {
  const accepting = forwardIndex(table, FORWARD_CHAIN);
  return wanted.chains.includes(STAGE_1) && accepting >= 0 && accepting < forwardIndex(table, STAGE_1);
};

/** Where FORWARD jumps to a chain, from 0; -1 where it does not. */
const forwardIndex = (table: IptablesTable, chain: string): number =>
  table.rules
    .filter((rule) => rule.startsWith('-A FORWARD '))
    .findIndex((rule) => rule.endsWith(` -j ${chain}`));

const comment = (text: string): string => `-m comment --comment "${text}"`;

const deletion = (rule: string): string => rule.replace(/^-A /, '-D ');
