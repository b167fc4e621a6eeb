import { parseCidr } from '../kernel/address-math.ts';
import type { U32Key } from '../kernel/tc-message.ts';

/** Where the addresses are in the headers (RFC 791, RFC 8200), in bytes. */
const OFFSETS = { 4: { source: 12, destination: 16 }, 6: { source: 8, destination: 24 } } as const;

/** The 32-bit words of a header that an address in a subnet fixes: none for `0.0.0.0/0`, so that one matches all. */
export const subnetKeys = (subnet: string, side: 'source' | 'destination'): U32Key[] => {
  const cidr = parseCidr(subnet);
  if (cidr === undefined) return [];
  const { family, value, prefixLength } = cidr;
  const start = OFFSETS[family][side];
  const words = Math.ceil(prefixLength / 32);
  const all = family === 4 ? 1 : 4;
  return Array.from({ length: Math.max(words, 1) }, (_, index) => {
    const bits = Math.min(32, prefixLength - 32 * index);
    const mask = bits === 0 ? 0 : (0xffff_ffff << (32 - bits)) >>> 0;
    const word = Number((value >> BigInt(32 * (all - 1 - index))) & 0xffff_ffffn);
    return { value: (word & mask) >>> 0, mask, offset: start + 4 * index };
  });
};
