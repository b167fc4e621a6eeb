import {
  DEFAULT_ADMIN_CHAIN,
  FORWARD_CHAIN,
  STAGE_1,
  STAGE_2,
} from '../../shared/firewall/iptables-rules.ts';
import {
  hasIptables,
  IP_FAMILIES,
  type IpFamily,
  type IptablesTable,
  type IptablesVariant,
  iptablesFailure,
  legacyTablePresent,
  readIptablesTable,
  startIptablesTransaction,
} from '../../shared/kernel/iptables.ts';
import { readNftChains } from '../../shared/kernel/nft-read.ts';
import type { NftSocket } from '../../shared/kernel/nft-socket.ts';
import { DNAT_CHAIN, MASQ_CHAIN, SETMARK_CHAIN } from '../../shared/portmap/iptables.ts';

/**
 * The chains that all pods share and that neither our plugins nor the reference's remove with the last pod, as a
 * transaction on their table; undefined when there are none, or when a pod's rule is in them or another's rule leads
 * to them. An administrator's chain with rules stays.
 */
export const unusedChains = (table: IptablesTable): { commands: string[]; chains: string[] } | undefined => {
  const groups = [hostPortChains(table), firewallChains(table)].filter((chains) => chains.length > 0);
  const chains = groups.filter((group) => isFree(group, table)).flat();
  if (chains.length === 0) return undefined;
  const jumps = table.rules.filter(
    (rule) => !chains.includes(chainOf(rule)) && chains.includes(targetOf(rule)),
  );
  return {
    commands: [
      ...jumps.map((rule) => rule.replace(/^-A /, '-D ')),
      ...chains.map((chain) => `-F ${chain}`),
      ...chains.map((chain) => `-X ${chain}`),
    ],
    chains,
  };
};

/** Carries it out in every table of every iptables. Returns what was removed, for a reader. Rejects with CniError 100. */
export const removeUnusedChains = async (socket: NftSocket): Promise<string[]> => {
  const removed: string[] = [];
  for (const family of IP_FAMILIES) {
    for (const name of ['nat', 'filter'] as const) {
      for (const variant of variantsWith(socket, family, name)) {
        const unused = unusedChains(readIptablesTable(family, variant, name));
        if (unused === undefined) continue;
        const result = await startIptablesTransaction(
          socket,
          family,
          variant,
          name,
          unused.commands,
        ).result();
        if (result.exitCode !== 0) {
          throw iptablesFailure(
            family,
            variant,
            result,
            `could not remove the chains ${unused.chains.join(', ')}`,
          );
        }
        removed.push(`IPv${family} iptables ${name} ${unused.chains.join(', ')}`);
      }
    }
  }
  return removed;
};

const hostPortChains = ({ chains, rules }: IptablesTable): string[] => {
  const inUse =
    rules.some((rule) => chainOf(rule) === DNAT_CHAIN) || chains.some((chain) => chain.startsWith('CNI-DN-'));
  return inUse ? [] : [DNAT_CHAIN, MASQ_CHAIN, SETMARK_CHAIN].filter((chain) => chains.includes(chain));
};

/** In use while CNI-FORWARD accepts a pod's address. The isolation of bridges is for pods that it accepts. */
const firewallChains = ({ chains, rules }: IptablesTable): string[] => {
  const ofForward = rules.filter((rule) => chainOf(rule) === FORWARD_CHAIN);
  const toAdmin = ofForward.filter((rule) => rule.includes('"CNI firewall plugin admin overrides"'));
  if (ofForward.length > toAdmin.length) return [];
  const admins = [...toAdmin.map(targetOf), DEFAULT_ADMIN_CHAIN];
  const empty = admins.filter((chain) => rules.every((rule) => chainOf(rule) !== chain));
  const candidates = new Set([FORWARD_CHAIN, STAGE_1, STAGE_2, ...empty]);
  return [...candidates].filter((chain) => chains.includes(chain));
};

/** Only the built-in chains lead to them, and they to each other. */
const isFree = (group: readonly string[], { rules }: IptablesTable): boolean =>
  rules.every(
    (rule) =>
      !group.includes(targetOf(rule)) || group.includes(chainOf(rule)) || BUILT_IN.test(chainOf(rule)),
  );

const BUILT_IN = /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/;

const chainOf = (rule: string): string => /^-A (\S+)/.exec(rule)?.[1] ?? '';
const targetOf = (rule: string): string => / -[jg] (\S+)/.exec(rule)?.[1] ?? '';

/** Those in which the table exists: reading a legacy one would make it. */
const variantsWith = (socket: NftSocket, family: IpFamily, table: string): IptablesVariant[] => {
  const named = (variant: 'nft' | 'legacy'): IptablesVariant =>
    hasIptables(family, variant) ? variant : 'default';
  const inNft = readNftChains(socket, family === 4 ? 'ip' : 'ip6', table).some(({ name }) =>
    name.startsWith('CNI-'),
  );
  return [...(inNft ? [named('nft')] : []), ...(legacyTablePresent(family, table) ? [named('legacy')] : [])];
};
