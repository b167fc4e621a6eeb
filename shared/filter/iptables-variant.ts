import {
  hasIptables,
  IP_FAMILIES,
  type IpFamily,
  type IptablesVariant,
  legacyTablePresent,
  readIptablesTable,
} from '../kernel/iptables.ts';
import { readNftChain } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';

/**
 * Which iptables to write with: that of kubelet and kube-proxy where their hint chains show it, because
 * rules of the two variants are evaluated apart; else what the plain name stands for. Looks for the
 * chains as kubernetes-sigs/iptables-wrappers does, but reads the nft variant's by netlink; a child is
 * started only where a legacy mangle table exists.
 */
export const chooseIptablesVariant = (socket: NftSocket): IptablesVariant => {
  if (
    HINT_CHAINS.some(
      (chain) => readNftChain(socket, 'ip', 'mangle', chain) ?? readNftChain(socket, 'ip6', 'mangle', chain),
    )
  ) {
    return installed('nft');
  }
  const hinted = IP_FAMILIES.some(
    (family) =>
      legacyTablePresent(family, 'mangle') &&
      readIptablesTable(family, installed('legacy'), 'mangle').chains.some((chain) =>
        HINT_CHAINS.includes(chain),
      ),
  );
  return hinted ? installed('legacy') : 'default';
};

/**
 * The variants in which a chain may exist: the nft one when netlink shows the chain, the legacy one when this netns
 * has the legacy table at all. Empty on most nodes, without a child.
 */
export const variantsHolding = (
  socket: NftSocket,
  family: IpFamily,
  chain: string,
  table: 'nat' | 'filter' = 'nat',
): IptablesVariant[] => {
  const variants: IptablesVariant[] = [];
  if (nftHolds(socket, family, chain, table)) variants.push(installed('nft'));
  if (legacyTablePresent(family, table)) variants.push(installed('legacy'));
  return variants;
};

/** Whether the nft variant's table has a chain. */
export const nftHolds = (
  socket: NftSocket,
  family: IpFamily,
  chain: string,
  table: 'nat' | 'filter' = 'nat',
): boolean => readNftChain(socket, family === 4 ? 'ip' : 'ip6', table, chain) !== undefined;

const HINT_CHAINS = ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'];

/** A distribution with one variant only may have no names but the plain ones. */
const installed = (variant: 'nft' | 'legacy'): IptablesVariant =>
  hasIptables(4, variant) ? variant : 'default';
