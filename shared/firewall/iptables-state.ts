import { addressValue } from '../filter/nft-values.ts';
import {
  hasIptables,
  type IpFamily,
  type IptablesTable,
  type IptablesVariant,
  legacyTablePresent,
  readIptablesTable,
} from '../kernel/iptables.ts';
import { encodeAttribute } from '../kernel/netlink-message.ts';
import { readNftChain, readNftRuleMessages } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import {
  type FirewallRules,
  FORWARD_CHAIN,
  forwardDrops,
  forwardIsUsed,
  STAGE_1,
  STAGE_2,
} from './iptables-rules.ts';

/** A filter table of iptables in this netns. */
export interface FilterTable {
  family: IpFamily;
  variant: IptablesVariant;
  /** Whether netlink shows it: the nft variant's. */
  visible: boolean;
}

/** The table that `variant`, as it was chosen for this node, writes to. */
export const tableOf = (family: IpFamily, variant: IptablesVariant): FilterTable => ({
  family,
  variant,
  // What the plain name stands for cannot be told, but where there is no legacy table none can be overlooked.
  visible: variant === 'nft' || (variant === 'default' && !legacyTablePresent(family, 'filter')),
});

/**
 * The filter tables in which a pod may have rules: the nft variant's when netlink shows the chain, the
 * legacy one when this netns has it at all. Empty on most nodes, without a child.
 */
export const tablesWithPods = (socket: NftSocket, family: IpFamily): FilterTable[] => [
  ...(readNftChain(socket, nftFamily(family), 'filter', FORWARD_CHAIN) === undefined
    ? []
    : [nftTable(family)]),
  ...legacyTable(family),
];

/** The tables whose FORWARD chain says anything. Starts a child where there is a legacy table only. */
export const tablesInUse = (socket: NftSocket, family: IpFamily): FilterTable[] =>
  tablesWhere(socket, family, (rules) => rules.length > 0, forwardIsUsed);

/** The tables whose FORWARD chain may drop what a pod sends or gets, without an accept in there. */
export const tablesThatDrop = (socket: NftSocket, family: IpFamily): FilterTable[] =>
  tablesWhere(socket, family, (rules) => rules.some(mayDrop), forwardDrops);

/**
 * What the nft variant's table holds of the wanted rules, told from netlink where that is certain: nothing of
 * them, or all but the pod's. Undefined where only `iptables-save` can tell.
 */
export const glanceAtTable = (
  socket: NftSocket,
  { family, visible }: FilterTable,
  wanted: FirewallRules,
  addresses: readonly string[],
): IptablesTable | undefined => {
  if (!visible) return undefined;
  const own = nftFamily(family);
  const present = wanted.chains.filter((chain) => readNftChain(socket, own, 'filter', chain) !== undefined);
  if (present.every((chain) => chain === wanted.adminChain))
    return { chains: present, rules: [], dropping: [] };
  const messages = (chain: string): Uint8Array[] => readNftRuleMessages(socket, own, 'filter', chain);
  const podMessages = messages(FORWARD_CHAIN);
  if (podMessages.some((message) => addresses.some((address) => mentions(message, addressBytes(address))))) {
    return undefined;
  }
  if (present.length < wanted.chains.length) return undefined;
  const rules = new Map([
    ['FORWARD', messages('FORWARD')],
    [FORWARD_CHAIN, podMessages],
  ]);
  for (const stage of [STAGE_1, STAGE_2]) if (present.includes(stage)) rules.set(stage, messages(stage));
  const isThere = ({ rule }: { rule: string }): boolean => {
    const [, chain = ''] = rule.split(' ', 2);
    const words = wordsOf(rule);
    return (rules.get(chain) ?? []).some((message) => words.every((word) => mentions(message, word)));
  };
  if (!wanted.frame.every(isThere)) return undefined;
  return { chains: present, rules: wanted.frame.map(({ rule }) => rule), dropping: [] };
};

/** Whether the nft variant's table has rules with one of the addresses. */
export const holdsAddresses = (
  socket: NftSocket,
  family: IpFamily,
  addresses: readonly string[],
): boolean => {
  const needles = addresses.map(addressBytes);
  return readNftRuleMessages(socket, nftFamily(family), 'filter', FORWARD_CHAIN).some((message) =>
    needles.some((needle) => mentions(message, needle)),
  );
};

/** Whether the nft variant's table has a rule for every one of the addresses. */
export const holdsAllAddresses = (
  socket: NftSocket,
  family: IpFamily,
  addresses: readonly string[],
): boolean => {
  const messages = readNftRuleMessages(socket, nftFamily(family), 'filter', FORWARD_CHAIN);
  return addresses.map(addressBytes).every((needle) => messages.some((message) => mentions(message, needle)));
};

const tablesWhere = (
  socket: NftSocket,
  family: IpFamily,
  inMessages: (forwardRules: Uint8Array[]) => boolean,
  inTable: (table: IptablesTable) => boolean,
): FilterTable[] => {
  const own = nftFamily(family);
  const forward = readNftChain(socket, own, 'filter', 'FORWARD');
  const nftMatches =
    forward !== undefined &&
    (forward.policy === 'drop' || inMessages(readNftRuleMessages(socket, own, 'filter', 'FORWARD')));
  const legacy = legacyTable(family).filter(({ variant }) =>
    inTable(readIptablesTable(family, variant, 'filter')),
  );
  return [...(nftMatches ? [nftTable(family)] : []), ...legacy];
};

const nftTable = (family: IpFamily): FilterTable => ({ family, variant: installed('nft'), visible: true });

/** Reading a legacy table that is not there would make the kernel set it up. */
const legacyTable = (family: IpFamily): FilterTable[] =>
  legacyTablePresent(family, 'filter') ? [{ family, variant: installed('legacy'), visible: false }] : [];

/** A distribution with one variant only may have no names but the plain ones. */
const installed = (variant: 'nft' | 'legacy'): IptablesVariant =>
  hasIptables(4, variant) ? variant : 'default';

const nftFamily = (family: IpFamily): 'ip' | 'ip6' => (family === 4 ? 'ip' : 'ip6');

/**
 * By what a rule is known in the kernel's message: its comment, the chain it jumps to, the interfaces it
 * names. Each ends with a NUL there.
 */
const wordsOf = (rule: string): Uint8Array[] => {
  const comment = /--comment "([^"]*)"/.exec(rule)?.[1];
  const target = / -j (\S+)$/.exec(rule)?.[1] ?? '';
  const device = / -[io] (\S+) /.exec(rule)?.[1];
  const words = [comment, device, /^(DROP|RETURN)$/.test(target) ? undefined : target];
  return words.flatMap((word) => (word === undefined ? [] : [new TextEncoder().encode(`${word}\0`)]));
};

/** A verdict that drops (linux/netfilter/nf_tables.h: NFTA_DATA_VERDICT with NFTA_VERDICT_CODE 0), or iptables' REJECT. */
const mayDrop = (message: Uint8Array): boolean => DROPS.some((mark) => mentions(message, mark));

const DROPS = [
  Uint8Array.of(12, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 0),
  new TextEncoder().encode('REJECT\0'),
  new TextEncoder().encode('reject\0'),
];

/** An address as a rule compares with it: the whole attribute NFTA_DATA_VALUE. */
const addressBytes = (address: string): Uint8Array =>
  encodeAttribute(NFTA_DATA_VALUE, addressValue(address).bytes);

const NFTA_DATA_VALUE = 1;

const mentions = (message: Uint8Array, bytes: Uint8Array): boolean => {
  const [first = 0] = bytes;
  for (let at = message.indexOf(first); at >= 0; at = message.indexOf(first, at + 1)) {
    if (bytes.every((byte, index) => message[at + index] === byte)) return true;
  }
  return false;
};
