import type { Attachment } from '../cni/plugin.ts';
import { type FilterRemoval, removeFilterParts } from '../filter/filter-part.ts';
import { findOwnedElements } from '../filter/nft-owned.ts';
import type { NftElement } from '../filter/nft-plan.ts';
import { isStaleComment, ownerComment } from '../filter/owner.ts';
import { readLink } from '../kernel/link.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { removeFromZone } from './firewalld.ts';
import { removeIptablesPods } from './iptables-apply.ts';
import { DEVICE_SETS, FIREWALL_SETS, firewallNftPlan, SHARED_COMMENT } from './nft.ts';
import type { FirewallPod, IngressPolicy } from './options.ts';

/** What is known of a firewall that is to go. */
export interface FirewallRemoval {
  pod: FirewallPod;
  /** From the record of our own ADD; without it, everything in nftables with the owner's name is looked for. */
  policy: IngressPolicy | undefined;
  /** firewalld's zone; undefined when it was not used. */
  zone: string | undefined;
}

/** The elements of a pod's firewall that are its own: what it shares with others stays. */
const ownFirewallElements = (socket: NftSocket, { pod, policy }: FirewallRemoval): NftElement[] => {
  if (policy !== undefined) {
    return firewallNftPlan(pod, { addresses: true, policy, deviceIsShared: false }).elements;
  }
  const comment = ownerComment(pod.owner);
  return findOwnedElements(socket, FIREWALL_SETS, (candidate) => candidate === comment);
};

/** What `removeFirewall` does, for one transaction with other features' removals. */
export const firewallRemovalPart = (socket: NftSocket, removal: FirewallRemoval): FilterRemoval => ({
  elements: ownFirewallElements(socket, removal),
  apart: (shared) => removeApart(shared, removal),
});

/**
 * Takes away all of a pod's firewall, in every packet filter that has it. What is not there is no error and
 * costs no child. Rejects with CniError 100.
 */
export const removeFirewall = (socket: NftSocket, removal: FirewallRemoval): Promise<void> =>
  removeFilterParts(socket, [firewallRemovalPart(socket, removal)]);

/**
 * For GC: the elements of a network's attachments that are not in `keep`, and those of bridges that are
 * gone, for `removeNftElements`.
 */
export const staleFirewallElements = (
  socket: NftSocket,
  network: string,
  keep: readonly Attachment[],
): NftElement[] => [
  ...findOwnedElements(socket, FIREWALL_SETS, isStaleComment(network, keep)),
  ...findOwnedElements(socket, DEVICE_SETS, (comment) => comment === SHARED_COMMENT).filter(
    ({ key }) => readLink(/^"([^"]*)"/.exec(key.text)?.[1] ?? '') === undefined,
  ),
];

/** What is not in nftables. The children run when this returns. */
const removeApart = async (
  socket: NftSocket,
  { pod: { addresses }, zone }: FirewallRemoval,
): Promise<void> => {
  const work = removeIptablesPods(socket, addresses);
  try {
    if (zone !== undefined) removeFromZone(zone, addresses);
  } finally {
    await work;
  }
};
