/** Whose an element or a rule is: one attachment of one network. */
export interface Owner {
  network: string;
  containerId: string;
  ifname: string;
}

/**
 * The comment that marks an nftables element as the owner's: `network containerId ifname`, or, where
 * that is longer than nft takes, `#<hash of the network> <hash of the owner>` followed by as much of
 * the container id as fits. Networks and container ids have no spaces and never start with `#`, so one
 * form is never taken for the other, and either begins with what `networkPrefixes` returns.
 */
export const ownerComment = ({ network, containerId, ifname }: Owner): string => {
  const plain = `${encodeWord(network)} ${encodeWord(containerId)} ${encodeWord(ifname)}`;
  if (plain.length <= COMMENT_MAX) return plain;
  const hashed = `${hashedNetwork(network)} ${hash(plain, OWNER_HASH_LENGTH)} ${encodeWord(containerId)}`;
  return hashed.slice(0, COMMENT_MAX);
};

/** What the comments of all owners of a network begin with, and of no other network's. */
export const networkPrefixes = (network: string): string[] => [
  `${encodeWord(network)} `,
  `${hashedNetwork(network)} `,
];

/** Tells the comments of a network's owners that are not in `keep`. */
export const isStaleComment = (
  network: string,
  keep: readonly { containerID: string; ifname: string }[],
): ((comment: string) => boolean) => {
  const prefixes = networkPrefixes(network);
  const kept = new Set(
    keep.map(({ containerID, ifname }) => ownerComment({ network, containerId: containerID, ifname })),
  );
  return (comment) => prefixes.some((prefix) => comment.startsWith(prefix)) && !kept.has(comment);
};

/** nft takes 128 bytes with the terminating NUL (NFTNL_UDATA_COMMENT_MAXLEN). */
const COMMENT_MAX = 127;
const NETWORK_HASH_LENGTH = 16;
const OWNER_HASH_LENGTH = 32;

const hashedNetwork = (network: string): string => `#${hash(network, NETWORK_HASH_LENGTH)}`;

const hash = (text: string, length: number): string =>
  new Bun.CryptoHasher('sha256').update(text).digest('hex').slice(0, length);

/**
 * Percent-encodes everything but the characters of valid names. An interface name may hold quotes,
 * braces and semicolons, and nft knows no escape inside its quotes.
 */
const encodeWord = (word: string): string =>
  PLAIN_WORD.test(word)
    ? word
    : Array.from(new TextEncoder().encode(word), (byte) => {
        const character = String.fromCharCode(byte);
        return PLAIN_WORD.test(character) ? character : `%${byte.toString(16).padStart(2, '0')}`;
      }).join('');

const PLAIN_WORD = /^[A-Za-z0-9_.-]+$/;
