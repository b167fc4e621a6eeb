import {
  encodeGetChain,
  encodeGetElement,
  encodeGetGeneration,
  encodeListChains,
  encodeListElements,
  encodeListRules,
  type NftChainState,
  type NftElementState,
  type NftFamily,
  type NftRuleState,
  parseChain,
  parseElements,
  parseRule,
} from './nft-message.ts';
import type { NftSocket } from './nft-socket.ts';

export interface NftSetName {
  family: NftFamily;
  table: string;
  set: string;
}

// All of these read in the netns of the socket and need CAP_NET_ADMIN. What does not exist, and whatever
// a kernel without nftables would hold, is undefined or an empty list.

/** Whether the kernel has nftables; the question makes it load the module where that is one. */
export const kernelHasNftables = (socket: NftSocket): boolean =>
  socket.ask(encodeGetGeneration()) !== undefined;

export const readNftChain = (
  socket: NftSocket,
  family: NftFamily,
  table: string,
  chain: string,
): NftChainState | undefined => {
  const [answer] = socket.ask(encodeGetChain(family, table, chain)) ?? [];
  return answer && parseChain(answer);
};

/** The chains of a family, each with its table. */
export const listNftChains = (socket: NftSocket, family: NftFamily): (NftChainState & { table: string })[] =>
  (socket.ask(encodeListChains(family)) ?? []).map(parseChain);

/** The chains of a table. */
export const readNftChains = (socket: NftSocket, family: NftFamily, table: string): NftChainState[] =>
  listNftChains(socket, family).filter((chain) => chain.table === table);

/** The rules of a chain, in order. */
export const readNftRules = (
  socket: NftSocket,
  family: NftFamily,
  table: string,
  chain: string,
): NftRuleState[] => readNftRuleMessages(socket, family, table, chain).map(parseRule);

/** The rules of a chain as the kernel sends them, to be searched for names and addresses. */
export const readNftRuleMessages = (
  socket: NftSocket,
  family: NftFamily,
  table: string,
  chain: string,
): Uint8Array[] => socket.ask(encodeListRules(family, table, chain)) ?? [];

/** The element with exactly this key. */
export const readNftElement = (
  socket: NftSocket,
  { family, table, set, key }: NftSetName & { key: { bytes: Uint8Array } },
): NftElementState | undefined => {
  const [answer] = socket.ask(encodeGetElement(family, table, set, key.bytes)) ?? [];
  return answer && parseElements(answer)[0];
};

/** All elements of a set or map. */
export const readNftElements = (socket: NftSocket, { family, table, set }: NftSetName): NftElementState[] =>
  (socket.ask(encodeListElements(family, table, set)) ?? []).flatMap(parseElements);
