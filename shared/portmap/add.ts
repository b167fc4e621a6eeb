import type { Undo } from '../attachment/undo.ts';
import { detectBackend, type FilterBackend } from '../filter/backend.ts';
import { applyFilterParts, type FilterPart } from '../filter/filter-part.ts';
import type { NftPlan } from '../filter/nft-plan.ts';
import type { Owner } from '../filter/owner.ts';
import type { PodAddress } from '../filter/pod-address.ts';
import { readNftChain } from '../kernel/nft-read.ts';
import { type NftSocket, withNftSocket } from '../kernel/nft-socket.ts';
import { claimPorts, type HostEnd, releasePorts } from './claims.ts';
import { isHolderGone, netnsInode, portTaken } from './holder.ts';
import { applyIptablesPortmap } from './iptables-apply.ts';
import { enableLocalnet } from './localnet.ts';
import { bindingsOf, describeBinding } from './mapping.ts';
import { PORTMAP_FAMILY, PORTMAP_TABLE, portmapPlan } from './nft.ts';
import { boundPorts, type PortmapOptions } from './options.ts';
import { type PortmapRecord, readPortmap, savePortmap } from './record.ts';
import { removePortmap } from './remove.ts';
import { forgetStaleFlows } from './stale-flows.ts';

/** What an ADD wants for an attachment. */
export interface PortmapRequest {
  owner: Owner;
  options: PortmapOptions;
  /** At most one of each family. */
  addresses: PodAddress[];
  /** CNI_NETNS. */
  netns: string;
  /** By which it is known later whether the container still lives. */
  links: HostEnd[];
}

/**
 * Maps the ports, all or nothing with what it registers in `undo`: with nftables one child at most. Throws
 * CniError 103 when a living container has one of the ports, 100 when a tool fails, 104 when the kernel
 * lacks what the backend needs, 5 and 11 for the files in /run, and what `checkpoint` throws.
 */
export const addPortmap = (
  request: PortmapRequest,
  undo: Undo,
  checkpoint: () => Promise<void>,
): Promise<void> =>
  withNftSocket(async (socket) => {
    const backend = request.options.backend ?? detectBackend(socket);
    const record = await preparePortmap(request, backend, undo, checkpoint);
    await checkpoint();
    await apply(socket, record);
    await checkpoint();
    finishPortmap(socket, record);
  });

/**
 * The first part of an ADD, before the packet filter is touched: takes the ports, away from containers that
 * are gone if need be, and writes the record. A plugin that carries out further features in one transaction
 * goes on with `portmapPart` and ends with `finishPortmap`.
 */
export const preparePortmap = async (
  request: PortmapRequest,
  backend: FilterBackend,
  undo: Undo,
  checkpoint: () => Promise<void>,
): Promise<PortmapRecord> => {
  const { owner } = request;
  const previous = readPortmap(owner);
  if (previous !== undefined && !isSameRequest(previous, request)) await removePortmap(owner);
  undo.add('give up the host ports', async () => {
    await releasePorts(owner);
  });
  const record = { ...request, backend, options: await claim(request, checkpoint) };
  undo.add('remove the host ports', async () => {
    await removePortmap(owner);
  });
  savePortmap(record);
  return record;
};

/** What a record's ports need of the packet filter; what is there already stays. */
export const portmapPart = (socket: NftSocket, record: PortmapRecord): FilterPart => {
  const { owner, options, addresses, backend } = record;
  const byIptables: FilterPart = {
    plans: [],
    apart: (shared) => applyIptablesPortmap(shared, owner, options, addresses),
  };
  if (backend === 'iptables') return byIptables;
  const plan = portmapPlan(owner, options, addresses);
  const fallback = (): FilterPart => {
    savePortmap({ ...record, backend: 'iptables' });
    return byIptables;
  };
  return {
    plans: [plan],
    fresh: lacksFrame(socket, plan),
    fallback: options.backend === undefined ? fallback : undefined,
  };
};

/** The last part of an ADD, when rules and the pod's route are in place. */
export const finishPortmap = (socket: NftSocket, { options, addresses }: PortmapRecord): void => {
  enableLocalnet(options, addresses);
  const families = addresses.map(({ family }) => family);
  forgetStaleFlows(socket, boundPorts(options, families), { addresses, arriving: true });
};

/** Makes the rules of a record; those that are there stay. Throws as `addPortmap` does. */
export const applyPortmap = (record: PortmapRecord): Promise<void> =>
  withNftSocket((socket) => apply(socket, record));

/** Gives the ports that a removal has freed to attachments of the same container that waited for them. */
export const handOverPorts = async (heirs: readonly Owner[]): Promise<void> => {
  for (const heir of heirs) {
    const waiting = readPortmap(heir);
    if (waiting !== undefined) await repairPortmap(waiting);
  }
};

/** Makes all of a record's ADD again, whatever is left of it. Throws as `addPortmap` does. */
export const repairPortmap = async (record: PortmapRecord): Promise<void> => {
  const current = { ...record, options: await claim(record, async () => {}) };
  savePortmap(current);
  await withNftSocket(async (socket) => {
    await apply(socket, current);
    finishPortmap(socket, current);
  });
};

/** Claims the ports; returns the options without what another attachment of the container has. */
const claim = async (
  { owner, options, addresses, netns, links }: PortmapRequest,
  checkpoint: () => Promise<void>,
): Promise<PortmapOptions> => {
  const families = addresses.map(({ family }) => family);
  const bindings = bindingsOf(options.mappings, families);
  const claimant = { ...owner, netns, links, inode: netnsInode(netns) };
  for (let attempt = 1; ; attempt++) {
    const { rivals, granted } = await claimPorts(claimant, bindings, { checkpoint });
    if (rivals.length === 0) {
      return { ...options, except: bindings.filter((each) => !granted.includes(each)).map(describeBinding) };
    }
    for (const rival of rivals) {
      if (attempt === CLAIM_ATTEMPTS || !isHolderGone(rival.claim)) throw portTaken(rival);
      await removePortmap(rival.claim);
    }
  }
};

/** In between, the port of a container that is gone may be taken by another newcomer. */
const CLAIM_ATTEMPTS = 3;

const isSameRequest = (record: PortmapRecord, { options, addresses }: PortmapRequest): boolean => {
  const text = (asked: PortmapOptions, given: readonly PodAddress[]): string =>
    JSON.stringify([
      asked.mappings,
      asked.snat,
      asked.masqAll,
      asked.markMasqBit,
      asked.externalSetMarkChain,
      asked.conditionsV4,
      asked.conditionsV6,
      given.map(({ address, subnet }) => [address, subnet]),
    ]);
  return (
    (options.backend ?? record.backend) === record.backend &&
    text(record.options, record.addresses) === text(options, addresses)
  );
};

const apply = (socket: NftSocket, record: PortmapRecord): Promise<void> =>
  applyFilterParts(socket, [portmapPart(socket, record)]);

/** Looking costs less than a transaction that fails for want of a chain: the first pod, or the first of a subnet. */
const lacksFrame = (socket: NftSocket, { elements, chains: own = [] }: NftPlan): boolean => {
  const targets = new Set(elements.flatMap(({ jump }) => jump ?? []));
  for (const { name } of own) targets.delete(name);
  return ['prerouting', ...targets].some(
    (chain) => readNftChain(socket, PORTMAP_FAMILY, PORTMAP_TABLE, chain) === undefined,
  );
};
