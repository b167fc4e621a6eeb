import { changeIptables } from '../filter/iptables-change.ts';
import { variantsHolding } from '../filter/iptables-variant.ts';
import {
  hasIptables,
  IP_FAMILIES,
  type IpFamily,
  type IptablesTable,
  iptablesTool,
} from '../kernel/iptables.ts';
import { type NftSocket, withNftSocket } from '../kernel/nft-socket.ts';
import { prefixesOf } from './address-ranges.ts';
import { formatMatch, planRanges } from './nat-plan.ts';
import { chainCommands, chainRemoval, type OwnedChain, overlayComment } from './owned-chain.ts';
import { CHAIN_ATTEMPTS, removeOwnedChain } from './owned-chain-apply.ts';

export interface ForwardRules {
  /** Of the overlay: a node may be in several. */
  vni: number;
  /** The pod prefixes of all nodes. */
  prefixes: readonly string[];
}

export interface ForwardSync {
  changed: boolean;
  /** What could not be done, a sentence each. */
  messages: string[];
}

/**
 * Has iptables accept what is forwarded from and to the cluster's pods, where it may drop that: where its chain
 * FORWARD has a policy of DROP (Docker's) or rules, in whichever variant; elsewhere there is no chain of ours. As
 * flannel's FLANNEL-FWD. An `accept` of nftables' would not do: it ends only the table that it is in. Nothing is
 * written where nothing differs. Rejects with CniError 100.
 */
export const syncForwardRules = ({ vni, prefixes }: ForwardRules): Promise<ForwardSync> =>
  withNftSocket(async (socket) => {
    const sync: ForwardSync = { changed: false, messages: [] };
    for (const family of IP_FAMILIES) {
      const wanted = forwardChain(vni, prefixes, family);
      for (const variant of variantsHolding(socket, family, 'FORWARD', 'filter')) {
        if (!hasIptables(family, variant)) {
          sync.messages.push(
            `IPv${family}: iptables may drop what is forwarded to pods, and ${iptablesTool(family, variant, 'restore')} is not installed`,
          );
          continue;
        }
        const plan = (table: IptablesTable): string[] | undefined => {
          const commands = forwardCommands(wanted, table);
          if (commands !== undefined) sync.changed = true;
          return commands;
        };
        const place = { socket, family, variant, table: 'filter' } as const;
        await changeIptables(place, { plan, feature: FEATURE, attempts: CHAIN_ATTEMPTS });
      }
    }
    return sync;
  });

/** Takes away what `syncForwardRules` made. Returns whether there was any. Rejects with CniError 100. */
export const removeForwardRules = (vni: number): Promise<boolean> =>
  withNftSocket((socket: NftSocket) => removeOwnedChain(socket, 'filter', chainName(vni), FEATURE));

/** The rules of one family. */
export const forwardChain = (vni: number, prefixes: readonly string[], family: IpFamily): OwnedChain => {
  const chain = chainName(vni);
  const comment = overlayComment(vni);
  const ranges = planRanges(prefixes).filter((range) => range.family === family);
  const inChain = ranges
    .flatMap(prefixesOf)
    .flatMap((prefix) =>
      (['-s', '-d'] as const).map((flag) => `-A ${chain}${formatMatch(flag, prefix)} ${comment} -j ACCEPT`),
    );
  return { chain, jumps: [`-A FORWARD ${comment} -j ${chain}`], inChain, first: true };
};

/** The transaction that the table needs, undefined for none. */
export const forwardCommands = (wanted: OwnedChain, table: IptablesTable): string[] | undefined => {
  const { chain, inChain } = wanted;
  return inChain.length > 0 && mayDrop(table) ? chainCommands(wanted, table) : chainRemoval(chain, table);
};

/** By its policy, or because somebody has rules there. */
const mayDrop = ({ dropping, rules }: IptablesTable): boolean =>
  dropping.includes('FORWARD') ||
  rules.some((rule) => rule.startsWith('-A FORWARD ') && !rule.includes(` -j ${CHAIN_PREFIX}`));

const CHAIN_PREFIX = 'PODWIRE-FORWARD-';

const chainName = (vni: number): string => `${CHAIN_PREFIX}${vni}`;

const FEATURE = "the accept rules for the overlay's forwarded packets (--no-forward-rules does without them)";
