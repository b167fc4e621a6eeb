import type { Attachment } from '../cni/plugin.ts';
import { allDone } from '../filter/all-done.ts';
import { findOwnedElements } from '../filter/nft-owned.ts';
import { deleteUnusedChains, removeNftElements } from '../filter/nft-transaction.ts';
import { isStaleComment, type Owner, ownerComment } from '../filter/owner.ts';
import { readNftChains, readNftElements } from '../kernel/nft-read.ts';
import { type NftSocket, withNftSocket } from '../kernel/nft-socket.ts';
import { removeAttachment, removeOtherAttachments } from '../store/attachments.ts';
import { collectClaims, releasePorts } from './claims.ts';
import { collectIptablesPortmaps, removeIptablesPortmap } from './iptables-apply.ts';
import { bindingsOf, type PortMapping } from './mapping.ts';
import {
  COLLECTED_CHAINS,
  ownPortmapChains,
  PORTMAP_FAMILY,
  PORTMAP_SETS,
  PORTMAP_TABLE,
  portmapPlan,
} from './nft.ts';
import { listPortmaps, PORTMAP_RECORDS, type PortmapRecord, readPortmap } from './record.ts';
import { removeReferenceHostports } from './reference-hostports.ts';
import { forgetStaleFlows } from './stale-flows.ts';

/**
 * Takes away what an ADD made: rules first, the ports last. Returns the attachments of the same container
 * that waited for the ports: `repairPortmap` gives them to them. With the record of the ADD it is known what to
 * remove; without one it is looked for, in what the reference makes, too, and
 * `mappings` are what the configuration says was mapped. What is not there is no error.
 * Throws CniError 100, 5 or 11.
 */
export const removePortmap = async (
  owner: Owner,
  mappings: readonly PortMapping[] = [],
): Promise<Owner[]> => {
  const record = readPortmap(owner);
  const asked = bindingsOf(record?.options.mappings ?? mappings, [4, 6]);
  const anyFound = await withNftSocket(async (socket) => {
    const found = record === undefined ? await removeUnknown(socket, owner) : false;
    if (record !== undefined) await removeKnown(socket, record);
    forgetStaleFlows(socket, asked, { addresses: record?.addresses ?? [], arriving: false });
    return found;
  });
  // Looking through all claims is for a pod that has ports of which neither record nor configuration is left.
  const heirs = await releasePorts(owner, asked.length === 0 && anyFound ? undefined : asked);
  removeAttachment(owner.network, owner.containerId, owner.ifname, PORTMAP_RECORDS);
  return heirs;
};

/**
 * For GC: takes away the host ports of a network's attachments that are not in `keep`, of both backends,
 * with or without a record. Throws CniError 100, 5 or 11.
 */
export const collectPortmaps = async (network: string, keep: readonly Attachment[]): Promise<void> => {
  const isKept = ({ containerId, ifname }: Owner): boolean =>
    keep.some((entry) => entry.containerID === containerId && entry.ifname === ifname);
  const stale = listPortmaps(network).filter(({ owner }) => !isKept(owner));
  await withNftSocket(async (socket) => {
    const isStale = isStaleComment(network, keep);
    await removeNftElements(socket, findOwnedElements(socket, PORTMAP_SETS, isStale));
    await collectChains(socket);
    await collectIptablesPortmaps(socket, network, keep);
    for (const { options, addresses } of stale) {
      forgetStaleFlows(socket, bindingsOf(options.mappings, [4, 6]), { addresses, arriving: false });
    }
  });
  await collectClaims(network, keep);
  removeOtherAttachments(network, keep, PORTMAP_RECORDS);
};

const removeKnown = (socket: NftSocket, record: PortmapRecord): Promise<void> => {
  const { owner, options, addresses, backend } = record;
  if (backend === 'iptables') return removeIptablesPortmap(socket, owner, { options, addresses });
  const { elements, chains } = portmapPlan(owner, options, addresses);
  return removeNftElements(socket, elements, chains);
};

/** Returns whether nftables had something of the owner's. */
const removeUnknown = async (socket: NftSocket, owner: Owner): Promise<boolean> => {
  const comment = ownerComment(owner);
  const elements = findOwnedElements(socket, PORTMAP_SETS, (candidate) => candidate === comment);
  await allDone([
    removeNftElements(socket, elements, ownPortmapChains(owner)),
    removeIptablesPortmap(socket, owner),
    removeReferenceHostports(socket, owner),
  ]);
  return elements.length > 0;
};

/** Takes away the chains of subnets and owners that no pod's element jumps to any more. */
const collectChains = (socket: NftSocket): Promise<void> => {
  const used = new Set(PORTMAP_SETS.flatMap((set) => readNftElements(socket, set)).map(({ jump }) => jump));
  const unused = readNftChains(socket, PORTMAP_FAMILY, PORTMAP_TABLE).filter(
    ({ name }) => COLLECTED_CHAINS.test(name) && !used.has(name),
  );
  return deleteUnusedChains(socket, PORTMAP_FAMILY, PORTMAP_TABLE, unused);
};
