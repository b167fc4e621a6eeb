import type { Owner } from '../filter/owner.ts';

/**
 * The names an attachment's ifb may have, the same at every call. The first is the reference plugin's, so
 * that either finds what the other made; it is the same for all interfaces of a container in one
 * network, so one that finds it taken by another of them has the second.
 */
export const ifbNames = ({ network, containerId, ifname }: Owner): [string, string] => [
  named(`${network}${containerId}`),
  named(`${network}\n${containerId}\n${ifname}`),
];

/** As the reference: a prefix, then as much of a SHA-512 as the kernel's 15 bytes leave room for. */
const named = (text: string): string =>
  `bwp${new Bun.CryptoHasher('sha512').update(text).digest('hex').slice(0, 12)}`;
