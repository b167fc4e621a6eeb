import { CniError, ErrorCode } from '../cni/errors.ts';
import { readNftChain, readNftElement, readNftRules } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import {
  chainCommands,
  createCommand,
  deleteCommand,
  HOOK_NUMBERS,
  mergeFrames,
  type NftChain,
  type NftElement,
  type NftPlan,
  type NftTable,
  type OwnedChain,
  ruleCommands,
  ruleComment,
  tableCommands,
} from './nft-plan.ts';

/** Something that a plan wants and the kernel has not, or has otherwise. */
export interface NftLack {
  /** For a reader: `chain inet podwire_masquerade postrouting is missing`. */
  what: string;
  /** The commands that mend it, once its table is there. */
  commands: string[];
  /** Of an element that somebody else has: that owner's comment. */
  takenBy?: string;
  /** Of an element that several owners want alike. */
  shared?: true;
}

/** What the kernel lacks of the plans; read by netlink, without a child. */
export const findNftLacks = (socket: NftSocket, plans: readonly NftPlan[]): NftLack[] => [
  ...findFrameLacks(socket, plans),
  ...findElementLacks(socket, plans),
];

/** As `findNftLacks`, for what is one owner's alone. */
export const findElementLacks = (socket: NftSocket, plans: readonly NftPlan[]): NftLack[] =>
  plans.flatMap(({ chains = [], elements }) => [
    ...chains.flatMap((chain) => ownedChainLack(socket, chain)),
    ...elements.flatMap((element) =>
      elementLack(socket, element).map(
        (lack): NftLack => (element.shared ? { ...lack, shared: true } : lack),
      ),
    ),
  ]);

/** As `findNftLacks`, for what all owners share: the chains with their hooks and rules. */
export const findFrameLacks = (socket: NftSocket, plans: readonly NftPlan[]): NftLack[] =>
  mergeFrames(plans).flatMap((table) => table.chains.flatMap((chain) => chainLack(socket, table, chain)));

/**
 * One transaction that gives the kernel all that it lacks; empty when it lacks nothing. Throws CniError 103
 * when another owner has what only one can have.
 */
export const mendCommands = (socket: NftSocket, plans: readonly NftPlan[]): string[] => {
  for (const { elements } of plans) for (const element of elements) requireNoRival(socket, element);
  const lacks = findNftLacks(socket, plans);
  if (lacks.length === 0) return [];
  return [...mergeFrames(plans).flatMap(tableCommands), ...lacks.flatMap((lack) => lack.commands)];
};

/** Whether an element is there and the owner's. */
export const isOwners = (socket: NftSocket, element: NftElement): boolean =>
  readNftElement(socket, element)?.comment === element.comment;

/** Whether an owner's chain is there. */
export const hasChain = (socket: NftSocket, { family, table, name }: OwnedChain): boolean =>
  readNftChain(socket, family, table, name) !== undefined;

const requireNoRival = (socket: NftSocket, element: NftElement): void => {
  if (!element.exclusive) return;
  // One without a comment is nobody's.
  const holder = readNftElement(socket, element)?.comment || element.comment;
  if (holder === element.comment) return;
  throw new CniError(ErrorCode.conflict, `${element.key.text} is taken by "${holder}"`, {
    details: `It is in ${element.family} ${element.table} ${element.set}, with network, container and interface.`,
  });
};

const ownedChainLack = (socket: NftSocket, chain: OwnedChain): NftLack[] =>
  chainLack(socket, { family: chain.family, name: chain.table, sets: [], chains: [] }, chain).map(
    ({ what }) => ({ what, commands: chainCommands(chain) }),
  );

const chainLack = (socket: NftSocket, table: NftTable, chain: NftChain): NftLack[] => {
  const { family, name } = table;
  const label = `chain ${family} ${name} ${chain.name}`;
  const state = readNftChain(socket, family, name, chain.name);
  const rebuild = ruleCommands(table, chain);
  if (state === undefined) return [{ what: `${label} is missing`, commands: rebuild }];
  if (chain.administered) return [];
  const { hook } = chain;
  if (hook !== undefined && (state.hook !== HOOK_NUMBERS[hook.name] || state.priority !== hook.priority)) {
    return [{ what: `${label} is not attached to the ${hook.name} hook`, commands: rebuild }];
  }
  if (hook !== undefined && state.policy === 'drop') {
    return [{ what: `${label} drops what it does not know`, commands: rebuild }];
  }
  const rules = readNftRules(socket, family, name, chain.name);
  if (
    sameTexts(
      rules.map((rule) => rule.comment),
      chain.rules.map(ruleComment),
    )
  )
    return [];
  return [{ what: `${label} has other rules than podwire's`, commands: rebuild }];
};

const elementLack = (socket: NftSocket, element: NftElement): NftLack[] => {
  const { family, table, set, key } = element;
  const label = `element ${key.text} of ${family} ${table} ${set}`;
  const state = readNftElement(socket, element);
  if (state === undefined) return [{ what: `${label} is missing`, commands: [createCommand(element)] }];
  const replace = [deleteCommand(element), createCommand(element)];
  if (state.comment !== element.comment) {
    return [{ what: `${label} belongs to "${state.comment}"`, commands: replace, takenBy: state.comment }];
  }
  return element.jump === state.jump && sameBytes(element.data?.bytes, state.data)
    ? []
    : [{ what: `${label} has another value`, commands: replace }];
};

const sameBytes = (first: Uint8Array | undefined, second: Uint8Array | undefined): boolean =>
  first?.length === second?.length && (first?.every((byte, index) => byte === second?.[index]) ?? true);

const sameTexts = (first: readonly string[], second: readonly string[]): boolean =>
  first.length === second.length && first.every((text, index) => text === second[index]);
