import { CniError, ErrorCode } from '../cni/errors.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { allDone } from './all-done.ts';
import type { NftElement, NftPlan, OwnedChain } from './nft-plan.ts';
import { applyNftPlans, removeNftElements } from './nft-transaction.ts';

/** What a feature wants of the packet filter for an attachment, to be put into effect with other features' parts. */
export interface FilterPart {
  /** For the transaction that all parts have in common. */
  plans: readonly NftPlan[];
  /** A look has shown that what owners share is missing. */
  fresh?: boolean;
  /** Carries out what is not nftables'. */
  apart?: (socket: NftSocket) => Promise<void>;
  /** The part for a kernel that has nftables without what the plans need. */
  fallback?: (() => FilterPart) | undefined;
}

/** What a feature has in the packet filter that is to go. */
export interface FilterRemoval {
  /** For the transaction that all removals have in common. */
  elements: readonly NftElement[];
  chains?: readonly OwnedChain[];
  /** Takes away what is not nftables'. */
  apart?: (socket: NftSocket) => Promise<void>;
  /** What comes after, when everything is gone. */
  finish?: (socket: NftSocket) => Promise<void> | void;
}

/**
 * Puts the parts into effect: one nft transaction, and beside it what is not nftables'. The children run when
 * this returns. Rejects, when all have ended, with CniError 100, 103 or 104; the caller undoes what was made.
 */
export const applyFilterParts = async (
  socket: NftSocket,
  parts: readonly FilterPart[],
  fresh = false,
): Promise<void> => {
  try {
    await carryOut(socket, parts, fresh);
  } catch (error) {
    // The kernel may have nftables without what NAT needs: only a try shows it.
    const unsupported = error instanceof CniError && error.code === ErrorCode.unsupportedByKernel;
    if (!unsupported || !parts.some(({ fallback }) => fallback)) throw error;
    const others = parts.map((part) => part.fallback?.() ?? part);
    await carryOut(socket, others, fresh);
  }
};

/**
 * Carries the removals out: one nft transaction, and beside it what is not nftables'. What is not there costs
 * no child. Rejects with CniError 100, and what a `finish` throws.
 */
export const removeFilterParts = async (
  socket: NftSocket,
  removals: readonly FilterRemoval[],
): Promise<void> => {
  await allDone([
    removeNftElements(
      socket,
      removals.flatMap(({ elements }) => elements),
      removals.flatMap(({ chains = [] }) => chains),
    ),
    ...removals.flatMap(({ apart }) => apart?.(socket) ?? []),
  ]);
  for (const { finish } of removals) await finish?.(socket);
};

const carryOut = (socket: NftSocket, parts: readonly FilterPart[], fresh: boolean): Promise<void> =>
  allDone([
    applyNftPlans(
      socket,
      parts.flatMap(({ plans }) => plans),
      { fresh: fresh || parts.some((part) => part.fresh) },
    ),
    ...parts.flatMap(({ apart }) => apart?.(socket) ?? []),
  ]);
