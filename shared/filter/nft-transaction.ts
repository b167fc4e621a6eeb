import { classifyNftFailure, nftError, startNft } from '../kernel/nft.ts';
import type { NftChainState, NftFamily } from '../kernel/nft-message.ts';
import { readNftChain } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { findNftLacks, hasChain, isOwners, mendCommands } from './nft-lacks.ts';
import {
  chainCommands,
  createCommand,
  deleteChainCommands,
  deleteCommand,
  type NftElement,
  type NftPlan,
  type OwnedChain,
} from './nft-plan.ts';

/**
 * Puts the plans into effect, all or nothing. In the steady state this is one nft child that only adds
 * the owner's elements, with nothing read before or after. When the frame is missing, or an element is
 * there already (of an owner gone without DEL), a second transaction, planned from what is there, makes
 * what is missing and takes the element over. `fresh` says that the frame is probably missing. Resolves
 * when it is visible. The child runs when this returns. Rejects with CniError 100, 103 when another owner
 * has an exclusive element, or 104 when the kernel lacks parts of nftables.
 */
export const applyNftPlans = async (
  socket: NftSocket,
  plans: readonly NftPlan[],
  { fresh = false }: { fresh?: boolean } = {},
): Promise<void> => {
  let commands = fresh
    ? mendCommands(socket, plans)
    : plans.flatMap(({ chains = [], elements }) => [
        ...chains.flatMap(chainCommands),
        ...elements.map(createCommand),
      ]);
  let firstLookMs = fresh ? DELETION_MS : ADDITION_MS;
  for (let attempt = 1; commands.length > 0; attempt++) {
    const child = startNft(socket, commands);
    const result = await child.settled(() => findNftLacks(socket, plans).length === 0, firstLookMs);
    if (result === undefined || result.exitCode === 0) return;
    if (attempt === ATTEMPTS || !RACES.has(classifyNftFailure(result.stderr))) {
      throw nftError(result, plans.map((plan) => plan.feature).join(', '));
    }
    commands = mendCommands(socket, plans);
    firstLookMs = DELETION_MS;
  }
};

/**
 * Deletes the elements that are still the owner's, and its chains, in one transaction, and leaves those
 * elements that another owner has taken over, and those that are shared. Resolves when the deletion is
 * visible. Without anything to delete no child is started.
 * The child runs when this returns. Rejects with CniError 100.
 */
export const removeNftElements = async (
  socket: NftSocket,
  elements: readonly NftElement[],
  chains: readonly OwnedChain[] = [],
): Promise<void> => {
  const stillOwners = (element: NftElement): boolean => !element.shared && isOwners(socket, element);
  const stillThere = (chain: OwnedChain): boolean => hasChain(socket, chain);
  for (let attempt = 1; ; attempt++) {
    const present = elements.filter(stillOwners);
    const presentChains = chains.filter(stillThere);
    if (present.length === 0 && presentChains.length === 0) return;
    const commands = [...present.map(deleteCommand), ...presentChains.flatMap(deleteChainCommands)];
    const result = await startNft(socket, commands).settled(
      () => !present.some(stillOwners) && !presentChains.some(stillThere),
      DELETION_MS,
    );
    if (result === undefined || result.exitCode === 0) return;
    if (attempt === ATTEMPTS || !RACES.has(classifyNftFailure(result.stderr))) {
      throw nftError(result, 'deleting packet filter elements');
    }
  }
};

/**
 * Carries out deletions for as long as `plan` finds any: for what is found by looking, and may meanwhile go
 * by somebody else's hand. Rejects with CniError 100.
 */
export const removeNftRules = async (socket: NftSocket, plan: () => string[]): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    const commands = plan();
    if (commands.length === 0) return;
    const result = await startNft(socket, commands).settled(() => plan().length === 0, DELETION_MS);
    if (result === undefined || result.exitCode === 0) return;
    if (attempt === ATTEMPTS) throw nftError(result, 'removing rules of the reference plugins');
  }
};

/**
 * Deletes chains that nothing jumps to, with their rules. One that an ADD has begun to use in between
 * stays, and the others with it, until the next time. Rejects with CniError 100.
 */
export const deleteUnusedChains = async (
  socket: NftSocket,
  family: NftFamily,
  table: string,
  chains: readonly NftChainState[],
): Promise<void> => {
  if (chains.length === 0) return;
  const commands = chains.flatMap(({ handle, name }) => [
    `flush chain ${family} ${table} ${name}`,
    `delete chain ${family} ${table} handle ${handle}`,
  ]);
  const isDone = (): boolean =>
    chains.every(({ name }) => readNftChain(socket, family, table, name) === undefined);
  const result = await startNft(socket, commands).settled(isDone, DELETION_MS);
  if (result === undefined || result.exitCode === 0 || RACES.has(classifyNftFailure(result.stderr))) return;
  throw nftError(result, 'deleting packet filter chains');
};

/** Others change the same tables at any time; each attempt looks at what is there anew. */
const ATTEMPTS = 8;
const RACES = new Set(['missing', 'exists', 'busy']);

/** Milliseconds after which a look is worth while: nft alone ends sooner, unless it has to wait for another. */
const ADDITION_MS = 5;

/** A deletion shows no earlier than this many milliseconds after the start, and nft ends long after that. */
const DELETION_MS = 2;
