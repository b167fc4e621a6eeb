import { formatCidr, networkOf, parseAddress, parseCidr } from '../kernel/address-math.ts';

/** True when both texts are the same address, however they are written. */
export const sameAddress = (first: string, second: string): boolean => {
  const a = parseAddress(first);
  const b = parseAddress(second);
  return a !== undefined && b !== undefined && a.family === b.family && a.value === b.value;
};

/** True when both texts are the same address with the same prefix length. */
export const sameCidr = (first: string, second: string): boolean => {
  const a = parseCidr(first);
  const b = parseCidr(second);
  if (a === undefined || b === undefined) return false;
  return a.family === b.family && a.value === b.value && a.prefixLength === b.prefixLength;
};

/** The network of an address in CIDR notation: `10.1.0.5/16` → `10.1.0.0/16`; other text as it is. */
export const networkCidr = (text: string): string => {
  const cidr = parseCidr(text);
  return cidr === undefined ? text : formatCidr(networkOf(cidr));
};
