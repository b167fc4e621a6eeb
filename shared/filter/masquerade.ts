import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Attachment } from '../cni/plugin.ts';
import { type NftSocket, readingNft, withNftSocket } from '../kernel/nft-socket.ts';
import { detectBackend, type FilterBackend } from './backend.ts';
import { applyFilterParts, type FilterPart, type FilterRemoval, removeFilterParts } from './filter-part.ts';
import {
  applyIptables,
  collectIptables,
  findIptablesLacks,
  removeIptables,
} from './masquerade-iptables-apply.ts';
import { collectSubnetChains, MASQUERADE_SETS, masqueradePlan } from './masquerade-nft.ts';
import { findNftLacks } from './nft-lacks.ts';
import { findOwnedElements, type OwnedSet } from './nft-owned.ts';
import type { NftPlan } from './nft-plan.ts';
import { removeNftElements } from './nft-transaction.ts';
import { isStaleComment, type Owner, ownerComment } from './owner.ts';
import { type MasqueradeAddress, type PodAddress, podAddress } from './pod-address.ts';

export interface ApplyOptions {
  /** `ipMasqBackend`; detected when absent. */
  backend?: FilterBackend | undefined;
  /** The node has probably no pod yet (the bridge was just made): sets everything up at once. */
  fresh?: boolean;
  /** What other features want of nftables, for the same transaction. */
  plans?: readonly NftPlan[];
  /** The parts of further features, which may need more than nftables. */
  parts?: readonly FilterPart[];
  /** The socket of the whole call, which stays open; without it, one is opened. */
  socket?: NftSocket | undefined;
}

/**
 * Masquerades what leaves from a pod's addresses, except to their own subnet and to multicast, and
 * carries out `plans` and `parts` with it; all or nothing, but for what the parts do beside nftables, which
 * is their features' to undo. Without addresses, only these. The children run when this returns: await the
 * backend that was used, for the record, after other work. Undo with `removeMasquerade`. Rejects with CniError 100, or 104 when the kernel lacks what is asked for.
 */
export const applyMasquerade = (
  owner: Owner,
  addresses: readonly MasqueradeAddress[],
  options: ApplyOptions = {},
): Promise<FilterBackend> =>
  handled(inSocket(options.socket, (socket) => apply(socket, owner, addresses.map(podAddress), options)));

export interface RemoveOptions {
  /** What ADD masqueraded, from the record; without it, the owner's elements are looked for. */
  addresses?: readonly MasqueradeAddress[] | undefined;
  /** What ADD used, from the record; without it, both are looked at. */
  backend?: FilterBackend | undefined;
  /** What ADD did for other features, to be undone in the same transaction. */
  plans?: readonly NftPlan[];
  /** What the container's other interfaces have on this network: for a DEL without a record. */
  spared?: readonly MasqueradeAddress[] | undefined;
  /** Sets of other features, in which everything of the owner goes: for a DEL without a record. */
  sets?: readonly OwnedSet[];
  /** What further features have: found with the socket, and taken away in the same transaction. */
  parts?: (socket: NftSocket) => readonly FilterRemoval[];
}

/**
 * Takes away what `applyMasquerade` made, where it is still the owner's: an address that another pod has
 * by now keeps its element. Resolves when the removal is visible. What is not there is no error, and
 * costs no child. The children run when this returns. Rejects with CniError 100.
 */
export const removeMasquerade = (owner: Owner, options: RemoveOptions = {}): Promise<void> =>
  handled(withNftSocket((socket) => remove(socket, owner, options)));

/**
 * Throws CniError 105 that says what is missing, unless all of it is in place. Reads by netlink, without
 * a child; for iptables one `iptables-save` for each family.
 */
export const checkMasquerade = (
  owner: Owner,
  addresses: readonly MasqueradeAddress[],
  backend: FilterBackend,
  plans: readonly NftPlan[] = [],
): void => {
  const pods = addresses.map(podAddress);
  const missing = readingNft((socket) => [
    ...findNftLacks(socket, allPlans(owner, backend === 'nftables' ? pods : [], plans)).map(
      ({ what }) => what,
    ),
    ...(backend === 'iptables' ? findIptablesLacks(socket, owner, pods) : []),
  ]);
  if (missing.length === 0) return;
  throw new CniError(ErrorCode.checkFailed, `the packet filter (${backend}) is incomplete: ${missing[0]}`, {
    details: `${missing.join('; ')}. Something else has changed the rules; "podwire repair" puts them back.`,
  });
};

/**
 * For GC: takes away the masquerade of a network's attachments that are not in `keep`, of both backends,
 * and their elements in the further `sets`. What is `gone` is needed only where interfaces of a container
 * share rules. Rejects with CniError 100.
 */
export const collectMasquerade = (
  network: string,
  keep: readonly Attachment[],
  sets: readonly OwnedSet[] = [],
  gone: readonly GoneAttachment[] = [],
): Promise<void> =>
  withNftSocket(async (socket) => {
    const stale = findOwnedElements(socket, [...MASQUERADE_SETS, ...sets], isStaleComment(network, keep));
    await removeNftElements(socket, stale);
    await collectSubnetChains(socket);
    await collectIptables(
      socket,
      network,
      keep,
      gone.map(({ containerId, addresses }) => ({ containerId, addresses: addresses.map(podAddress) })),
    );
  });

/** An attachment that goes, with those of its addresses that no attachment has that stays. */
export interface GoneAttachment {
  containerId: string;
  addresses: readonly MasqueradeAddress[];
}

const inSocket = <T>(given: NftSocket | undefined, body: (socket: NftSocket) => Promise<T>): Promise<T> =>
  given === undefined ? withNftSocket(body) : body(given);

/** The caller may do other work before it awaits this: a failure meanwhile must not count as unhandled. */
const handled = <T>(work: Promise<T>): Promise<T> => {
  work.catch(() => {});
  return work;
};

const allPlans = (owner: Owner, pods: readonly PodAddress[], plans: readonly NftPlan[]): NftPlan[] =>
  pods.length === 0 ? [...plans] : [masqueradePlan(owner, pods), ...plans];

const apply = async (
  socket: NftSocket,
  owner: Owner,
  pods: readonly PodAddress[],
  { backend, fresh, plans = [], parts = [] }: ApplyOptions,
): Promise<FilterBackend> => {
  let used = backend ?? detectBackend(socket);
  const byIptables = (): FilterPart => {
    used = 'iptables';
    return { plans: [], apart: (shared) => applyIptables(shared, owner, pods) };
  };
  const byNftables = (): FilterPart => ({
    plans: [masqueradePlan(owner, pods)],
    fallback: backend === undefined ? byIptables : undefined,
  });
  const masquerade = used === 'iptables' ? byIptables : byNftables;
  try {
    const all = [...(pods.length === 0 ? [] : [masquerade()]), { plans }, ...parts];
    await applyFilterParts(socket, all, fresh);
    return used;
  } catch (error) {
    // A transaction of nftables is all or nothing by itself; what stands beside it is not.
    if (used === 'iptables') {
      await remove(socket, owner, { addresses: pods, backend: used, plans }).catch(() => {});
    }
    throw error;
  }
};

const remove = async (
  socket: NftSocket,
  owner: Owner,
  { addresses, backend, plans = [], spared = [], sets = [], parts = () => [] }: RemoveOptions,
): Promise<void> => {
  const pods = addresses?.map(podAddress);
  const known = allPlans(owner, backend === 'iptables' ? [] : (pods ?? []), plans);
  const searched = backend !== 'iptables' && pods === undefined ? [...MASQUERADE_SETS, ...sets] : sets;
  const comment = ownerComment(owner);
  const masquerade: FilterRemoval = {
    elements: [
      ...known.flatMap((plan) => plan.elements.filter(({ shared }) => !shared)),
      ...findOwnedElements(socket, searched, (candidate) => candidate === comment),
    ],
    chains: known.flatMap((plan) => plan.chains ?? []),
    ...(backend !== 'nftables' && {
      apart: (shared) =>
        removeIptables(shared, owner, {
          addresses: pods,
          spared: spared.map(podAddress),
          expected: backend === 'iptables',
        }),
    }),
  };
  await removeFilterParts(socket, [masquerade, ...parts(socket)]);
};
