import {
  type Address,
  bitsOf,
  type Cidr,
  formatAddress,
  formatCidr,
  networkOf,
  parseAddress,
  parseCidr,
} from '../kernel/address-math.ts';
import { addressProblem, prefixProblem } from './node-addresses.ts';
import { type PrefixBits, prefixBits } from './prefix-bits.ts';

/** An address of a node as somebody wrote it. */
export interface NodeAddress {
  address: Address;
  /** As a prefix of full length. */
  bits: PrefixBits;
  /** Canonical. */
  text: string;
}

/** A pod prefix as somebody wrote it. */
export interface PodPrefix {
  cidr: Cidr;
  bits: PrefixBits;
  /** Canonical. */
  text: string;
}

/**
 * Reads an address that other nodes reach a node by; or says what is wrong with it, as the end of a sentence
 * such as `"addresses[0]" …`. Remembers what it read: an agent reads the same thousands again and again.
 */
export const readNodeAddress = (text: string): NodeAddress | string =>
  remembered(addresses, text, () => {
    const address = parseAddress(text);
    if (address === undefined) return 'must be an IP address';
    const problem = addressProblem(address);
    if (problem !== undefined) return problem;
    const bits = prefixBits({ ...address, prefixLength: bitsOf(address.family) });
    return { address, bits, text: formatAddress(address) };
  });

/** The same for the network address of a pod prefix with its length. */
export const readPodPrefix = (text: string): PodPrefix | string =>
  remembered(prefixes, text, () => {
    const cidr = parseCidr(text);
    if (cidr === undefined) return 'must be a prefix such as 10.244.1.0/24';
    const network = networkOf(cidr);
    if (network.value !== cidr.value) return `must be a network address such as ${formatCidr(network)}`;
    return prefixProblem(cidr) ?? { cidr, bits: prefixBits(cidr), text: formatCidr(cidr) };
  });

const addresses = new Map<string, NodeAddress | string>();
const prefixes = new Map<string, PodPrefix | string>();

/** More than the largest cluster has. */
const MOST = 40_000;

const remembered = <T>(known: Map<string, T>, text: string, read: () => T): T => {
  let value = known.get(text);
  if (value !== undefined) return value;
  value = read();
  if (known.size >= MOST) known.clear();
  known.set(text, value);
  return value;
};
