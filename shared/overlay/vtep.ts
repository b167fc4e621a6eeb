import { formatAddress, networkOf, parseCidr } from '../kernel/address-math.ts';
import { formatMac } from '../kernel/mac.ts';

/** The name of the VTEP of an overlay; a VNI has at most 8 digits, so it fits into IFNAMSIZ. */
export const vtepDevice = (vni: number): string => `pwvxlan${vni}`;

export const isVtepDevice = (name: string): boolean => /^pwvxlan\d+$/.test(name);

/**
 * The MAC of a node's VTEP: the first 6 bytes of SHA-256 of the node's name, marked as locally administered
 * and unicast. All nodes compute it alike, so that nobody has to be told: it must never change.
 */
export const vtepMac = (node: string): string => {
  const bytes = new Bun.CryptoHasher('sha256').update(node).digest().subarray(0, 6);
  // Bit 0 of the first byte: multicast; bit 1: locally administered (IEEE 802).
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return formatMac(bytes);
};

/**
 * The addresses of a node's VTEP, at most one of each family: the network address of its first prefix of
 * the family, which no pod ever gets. Prefixes that cannot be read count for nothing.
 */
export const vtepAddresses = (podCIDRs: readonly string[]): { 4?: string; 6?: string } => {
  const addresses: { 4?: string; 6?: string } = {};
  for (const text of podCIDRs) {
    const cidr = parseCidr(text);
    if (cidr === undefined) continue;
    addresses[cidr.family] ??= formatAddress(networkOf(cidr));
  }
  return addresses;
};

/**
 * The link-local address that a MAC gives (RFC 4291, appendix A): the next hop of IPv6 routes to a peer. An
 * address of the peer's prefix would do only while no route over another device covers it, as the kernel
 * then takes it for a gateway on the wrong link.
 */
export const linkLocalOf = (mac: string): string => {
  const bytes = mac.split(':').map((text) => Number.parseInt(text, 16));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  const identifier = [a ^ 0x02, b, c, 0xff, 0xfe, d, e, f];
  const value = identifier.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return formatAddress({ family: 6, value: (0xfe80n << 112n) | value });
};
