import type { NftElementState } from '../kernel/nft-message.ts';
import { type NftSetName, readNftElements } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import type { NftElement } from './nft-plan.ts';
import { formatKey } from './nft-values.ts';

/** A set or map whose elements belong to owners. */
export interface OwnedSet extends NftSetName {
  /** As nft writes it, of the key alone: `ifname . ether_addr`. */
  keyType: string;
}

/**
 * The elements whose comment `matches`, for `removeNftElements`. This reads the sets whole: it is for a
 * DEL that has no record of what ADD made, and for GC. A set that does not exist has no elements.
 */
export const findOwnedElements = (
  socket: NftSocket,
  sets: readonly OwnedSet[],
  matches: (comment: string) => boolean,
): NftElement[] =>
  sets.flatMap((set) =>
    readNftElements(socket, set)
      .filter(({ comment }) => matches(comment))
      .map((state) => ownedElement(set, state)),
  );

const ownedElement = (
  { family, table, set, keyType }: OwnedSet,
  { key, comment }: NftElementState,
): NftElement => ({
  family,
  table,
  set,
  key: { text: formatKey(keyType, key), bytes: key },
  comment,
});
