import type { Attachment } from '../cni/plugin.ts';
import { allDone } from '../filter/all-done.ts';
import { type FilterRemoval, removeFilterParts } from '../filter/filter-part.ts';
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
 * that waited for the ports: `handOverPorts` gives them to them. With the record of the ADD it is known what to
 * remove; without one it is looked for, in what the reference makes, too, and
 * `mappings` are what the configuration says was mapped. What is not there is no error.
 * Throws CniError 100, 5 or 11.
 */
export const removePortmap = (owner: Owner, mappings: readonly PortMapping[] = []): Promise<Owner[]> =>
  withNftSocket(async (socket) => {
    const heirs: Owner[] = [];
    await removeFilterParts(socket, [portmapRemoval(socket, owner, mappings, heirs)]);
    return heirs;
  });

/** What `removePortmap` does, for one transaction with other features' removals; adds to `heirs`. */
export const portmapRemoval = (
  socket: NftSocket,
  owner: Owner,
  mappings: readonly PortMapping[],
  heirs: Owner[],
): FilterRemoval => {
  const record = readPortmap(owner);
  const asked = bindingsOf(record?.options.mappings ?? mappings, [4, 6]);
  const removal = record === undefined ? unknownRemoval(socket, owner) : knownRemoval(record);
  const anyFound = record === undefined && removal.elements.length > 0;
  return {
    ...removal,
    finish: async () => {
      forgetStaleFlows(socket, asked, { addresses: record?.addresses ?? [], arriving: false });
      // Looking through all claims is for a pod that has ports of which neither record nor configuration is left.
      heirs.push(...(await releasePorts(owner, asked.length === 0 && anyFound ? undefined : asked)));
      removeAttachment(owner.network, owner.containerId, owner.ifname, PORTMAP_RECORDS);
    },
  };
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

const knownRemoval = ({ owner, options, addresses, backend }: PortmapRecord): FilterRemoval => {
  if (backend === 'nftables') return portmapPlan(owner, options, addresses);
  return {
    elements: [],
    apart: (socket) => removeIptablesPortmap(socket, owner, { options, addresses }),
  };
};

const unknownRemoval = (socket: NftSocket, owner: Owner): FilterRemoval => {
  const comment = ownerComment(owner);
  return {
    elements: findOwnedElements(socket, PORTMAP_SETS, (candidate) => candidate === comment),
    chains: ownPortmapChains(owner),
    apart: (shared) =>
      allDone([removeIptablesPortmap(shared, owner), removeReferenceHostports(shared, owner)]),
  };
};

/** Takes away the chains of subnets and owners that no pod's element jumps to any more. */
const collectChains = (socket: NftSocket): Promise<void> => {
  const used = new Set(PORTMAP_SETS.flatMap((set) => readNftElements(socket, set)).map(({ jump }) => jump));
  const unused = readNftChains(socket, PORTMAP_FAMILY, PORTMAP_TABLE).filter(
    ({ name }) => COLLECTED_CHAINS.test(name) && !used.has(name),
  );
  return deleteUnusedChains(socket, PORTMAP_FAMILY, PORTMAP_TABLE, unused);
};
