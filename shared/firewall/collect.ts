import type { Attachment } from '../cni/plugin.ts';
import { allDone } from '../filter/all-done.ts';
import { removeNftElements } from '../filter/nft-transaction.ts';
import { type NftSocket, withNftSocket } from '../kernel/nft-socket.ts';
import { type AttachmentRecord, listAttachments, removeOtherAttachments } from '../store/attachments.ts';
import { removeFromZone } from './firewalld.ts';
import { removeIptablesPods } from './iptables-apply.ts';
import { FIREWALL_RECORDS, recordedFirewall } from './record.ts';
import { staleFirewallElements } from './remove.ts';

/**
 * For GC: takes away the firewall of a network's attachments that are not in `valid`. nftables' elements
 * bear their owner's name; rules of iptables and sources of firewalld do not: those go by the records. An
 * address that a valid attachment has stays. Rejects with CniError 100 or 5.
 */
export const collectFirewall = async (network: string, valid: readonly Attachment[]): Promise<void> => {
  await withNftSocket((socket) => removeStale(socket, network, valid));
  removeOtherAttachments(network, valid, FIREWALL_RECORDS);
};

const removeStale = async (
  socket: NftSocket,
  network: string,
  valid: readonly Attachment[],
): Promise<void> => {
  const records = listAttachments(network, FIREWALL_RECORDS);
  const kept = new Set(valid.map(({ containerID, ifname }) => `${containerID}/${ifname}`));
  const isKept = ({ containerId, ifname }: AttachmentRecord): boolean => kept.has(`${containerId}/${ifname}`);
  const held = new Set(
    records.filter(isKept).flatMap(({ addresses }) => addresses.map(({ address }) => address)),
  );
  const stale = records
    .filter((record) => !isKept(record))
    .flatMap((record) => recordedFirewall(record) ?? []);
  const free = (addresses: string[]): string[] => addresses.filter((address) => !held.has(address));
  const zones = new Set(
    stale.filter(({ options }) => options.backend === 'firewalld').map(({ options }) => options.zone),
  );
  await allDone([
    removeNftElements(socket, staleFirewallElements(socket, network, valid)),
    removeIptablesPods(
      socket,
      stale.flatMap(({ pod }) => free(pod.addresses)),
    ),
  ]);
  for (const zone of zones) {
    const ofZone = stale.filter(({ options }) => options.backend === 'firewalld' && options.zone === zone);
    removeFromZone(
      zone,
      ofZone.flatMap(({ pod }) => free(pod.addresses)),
    );
  }
};
