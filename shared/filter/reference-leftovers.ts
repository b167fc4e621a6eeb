import type { NftRuleState } from '../kernel/nft-message.ts';
import { readNftChain, readNftRules } from '../kernel/nft-read.ts';
import { type NftSocket, withNftSocket } from '../kernel/nft-socket.ts';
import { allDone } from './all-done.ts';
import { removeIptables } from './masquerade-iptables-apply.ts';
import { removeNftRules } from './nft-transaction.ts';
import type { Owner } from './owner.ts';
import { type MasqueradeAddress, podAddress } from './pod-address.ts';

/**
 * For the DEL of a pod that podwire has no record of: takes away what the reference plugins' bridge and
 * ptp made for it: iptables masquerade, nftables masquerade (from their 1.6 on), and the MAC spoof
 * check. Nothing else in these tables is touched, and what the container's other interfaces have in a chain
 * that they share stays (`spared`, their addresses). Looks by netlink and starts a child only where there
 * is something to remove, or a legacy iptables nat table to look through. Rejects with CniError 100.
 */
export const removeReferenceLeftovers = (
  owner: Owner,
  spared: readonly MasqueradeAddress[] = [],
): Promise<void> =>
  withNftSocket((socket) =>
    allDone([
      removeNftLeftovers(socket, owner),
      removeIptables(socket, owner, { spared: spared.map(podAddress) }),
    ]),
  );

/** Whether a comment is that of a reference rule that masquerades for the owner, by its leading hash. */
const isReferenceMasquerade = ({ network, containerId, ifname }: Owner): ((comment: string) => boolean) => {
  const instance = `${hash(network)}-${hash(`${ifname}:${containerId}`)}`;
  return (comment) => comment.startsWith(instance);
};

const removeNftLeftovers = (socket: NftSocket, owner: Owner): Promise<void> =>
  removeNftRules(socket, () => leftoverCommands(socket, owner));

const leftoverCommands = (socket: NftSocket, owner: Owner): string[] => [
  ...masqueradeCommands(socket, owner),
  ...spoofCheckCommands(socket, owner),
];

/** plugins `pkg/ip/ipmasq_nftables_linux.go`: one rule for each address, all in one chain. */
const masqueradeCommands = (socket: NftSocket, owner: Owner): string[] => {
  const isOwners = isReferenceMasquerade(owner);
  const rules = readNftRules(socket, 'inet', 'cni_plugins_masquerade', 'masq_checks');
  return deleteRules(
    'inet cni_plugins_masquerade masq_checks',
    rules.filter(({ comment }) => isOwners(comment)),
  );
};

/**
 * plugins `pkg/link/spoofcheck.go`: a rule in the base chain, and two chains. They go by handle, because
 * an interface name within a chain's name may have characters that nft's syntax does not.
 */
const spoofCheckCommands = (socket: NftSocket, { containerId, ifname }: Owner): string[] => {
  const id = `${containerId}-${ifname}`;
  const jumps = readNftRules(socket, 'bridge', 'nat', 'PREROUTING').filter(
    ({ comment }) => comment === `macspoofchk-${id}`,
  );
  const chains = [`cni-br-iface-${id}`, `cni-br-iface-${id}-mac`].flatMap(
    (name) => readNftChain(socket, 'bridge', 'nat', name) ?? [],
  );
  return [
    ...deleteRules('bridge nat PREROUTING', jumps),
    ...chains.map(({ handle }) => `delete chain bridge nat handle ${handle}`),
  ];
};

const deleteRules = (chain: string, rules: readonly NftRuleState[]): string[] =>
  rules.map(({ handle }) => `delete rule ${chain} handle ${handle}`);

/** plugins `pkg/utils`, MustFormatHashWithPrefix(16, "", …). */
const hash = (text: string): string => new Bun.CryptoHasher('sha512').update(text).digest('hex').slice(0, 16);
