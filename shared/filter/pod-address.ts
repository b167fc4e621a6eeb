import { formatAddress, formatCidr, networkOf, parseAddress, parseCidr } from '../kernel/address-math.ts';

/** An address of a pod with the subnet inside which it needs no masquerade. */
export interface MasqueradeAddress {
  /** `10.1.0.2`. */
  address: string;
  /** `10.1.0.0/16`; host bits do not matter, so the address with its prefix length will do. */
  subnet: string;
}

/** The same in canonical text. */
export interface PodAddress extends MasqueradeAddress {
  family: 4 | 6;
}

/** Parses and normalises. Throws TypeError on what is no address, no prefix, or of two families. */
export const podAddress = ({ address, subnet }: MasqueradeAddress): PodAddress => {
  const parsed = parseAddress(address);
  const prefix = parseCidr(subnet);
  if (parsed === undefined || prefix === undefined || parsed.family !== prefix.family) {
    throw new TypeError(`not an address with its subnet: ${address}, ${subnet}`);
  }
  return { family: parsed.family, address: formatAddress(parsed), subnet: formatCidr(networkOf(prefix)) };
};
