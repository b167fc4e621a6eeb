import { type Address, type Cidr, contains, parseCidr } from '../kernel/address-math.ts';

/** Why an address cannot be one that other nodes reach a node by; undefined when it can. */
export const addressProblem = (address: Address): string | undefined => {
  const special = specialPrefixes.find(({ cidr }) => contains(cidr, address));
  return special && `must be an address that other nodes can reach, not ${special.name}`;
};

/** Why a network cannot be one of pods; undefined when it can. */
export const prefixProblem = (prefix: Cidr): string | undefined => {
  const special = specialPrefixes.find(({ cidr }) => contains(cidr, prefix) || contains(prefix, cidr));
  return special && `must be a range of addresses for pods, without ${special.name}`;
};

const special = (text: string, name: string): { cidr: Cidr; name: string }[] => {
  const cidr = parseCidr(text);
  return cidr === undefined ? [] : [{ cidr, name }];
};

/** Networks whose addresses are neither a node's nor a pod's (RFC 6890). */
const specialPrefixes = [
  ...special('0.0.0.0/8', 'an unspecified address (0.0.0.0/8)'),
  ...special('127.0.0.0/8', 'a loopback address (127.0.0.0/8)'),
  ...special('169.254.0.0/16', 'a link-local address (169.254.0.0/16)'),
  ...special('224.0.0.0/3', 'a multicast or reserved address (224.0.0.0/3)'),
  ...special('::/127', 'an unspecified or loopback address (::/127)'),
  ...special('fe80::/10', 'a link-local address (fe80::/10)'),
  ...special('ff00::/8', 'a multicast address (ff00::/8)'),
];
