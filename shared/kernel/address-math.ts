// By hand although ipaddr.js does it too: importing that costs every plugin call 1 to 2 ms. The tests
// compare the two.

export interface Address {
  family: 4 | 6;
  value: bigint;
}

/** An address with its prefix length; the host bits are kept. */
export interface Cidr extends Address {
  prefixLength: number;
}

/**
 * Reads an IPv4 or IPv6 address as strictly as Go's `net.ParseIP`, which the reference plugins use: no
 * leading zeros in a dotted quad, no zone, no spaces. An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`)
 * counts as the IPv4 address, as it does there. Undefined for anything else.
 */
export const parseAddress = (text: string): Address | undefined => {
  const raw = parseRaw(text);
  if (raw === undefined || !isMapped(raw)) return raw;
  return { family: 4, value: raw.value & LOW_32_BITS };
};

/**
 * Reads `address/length`, keeping the host bits. An IPv4-mapped address needs a length of at least 96
 * and counts as IPv4 with what exceeds these. Undefined for anything else, a bare address included.
 */
export const parseCidr = (text: string): Cidr | undefined => {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const raw = parseRaw(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (raw === undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const prefixLength = Number(length);
  if (prefixLength > bitsOf(raw.family)) return undefined;
  if (!isMapped(raw)) return { ...raw, prefixLength };
  if (prefixLength < 96) return undefined;
  return { family: 4, value: raw.value & LOW_32_BITS, prefixLength: prefixLength - 96 };
};

/** The canonical text: a dotted quad, or IPv6 as RFC 5952 has it. */
export const formatAddress = ({ family, value }: Address): string => {
  if (family === 4) return dottedQuad(value);
  if (isMapped({ family, value })) return `::ffff:${dottedQuad(value & LOW_32_BITS)}`;
  return joinGroups(
    Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn)),
  );
};

/**
 * The same from 4 or 16 bytes in network order, without the detour by a BigInt, which for the thousands of
 * addresses of a table takes longer than to read it. Throws RangeError for another number of bytes.
 */
export const formatAddressBytes = (bytes: Uint8Array): string => {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new RangeError(`an address of ${bytes.length} bytes`);
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  const mapped = groups[5] === 0xffff && groups.every((group, index) => index >= 5 || group === 0);
  return mapped ? `::ffff:${bytes.subarray(12).join('.')}` : joinGroups(groups);
};

const joinGroups = (numbers: readonly number[]): string => {
  const groups = numbers.map((group) => group.toString(16));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
};

/** The canonical address and the prefix length, host bits kept. */
export const formatCidr = (cidr: Cidr): string => `${formatAddress(cidr)}/${cidr.prefixLength}`;

/** The same prefix with the host bits cleared. */
export const networkOf = ({ family, value, prefixLength }: Cidr): Cidr => {
  const hostBits = hostBitsOf(family, prefixLength);
  return { family, value: (value >> hostBits) << hostBits, prefixLength };
};

/** The address after the network address: the customary gateway. */
export const firstHostOf = (cidr: Cidr): Address => {
  const { family, value } = networkOf(cidr);
  return { family, value: BigInt.asUintN(bitsOf(family), value + 1n) };
};

/** The highest address of the prefix: the broadcast address in IPv4. */
export const lastOf = ({ family, value, prefixLength }: Cidr): Address => ({
  family,
  value: value | ((1n << hostBitsOf(family, prefixLength)) - 1n),
});

/** Whether the address lies in the prefix, network and broadcast address included. */
export const contains = (cidr: Cidr, address: Address): boolean => {
  const hostBits = hostBitsOf(cidr.family, cidr.prefixLength);
  return cidr.family === address.family && cidr.value >> hostBits === address.value >> hostBits;
};

/** 32 or 128. */
export const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

const LOW_32_BITS = 0xffffffffn;

const hostBitsOf = (family: 4 | 6, prefixLength: number): bigint => BigInt(bitsOf(family) - prefixLength);

const isMapped = ({ family, value }: Address): boolean => family === 6 && value >> 32n === 0xffffn;

const parseRaw = (text: string): Address | undefined => {
  const family = text.includes(':') ? 6 : 4;
  const value = family === 6 ? parseIpv6(text) : parseIpv4(text);
  return value === undefined ? undefined : { family, value };
};

const OCTET = '(0|[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-5])';
const DOTTED_QUAD = new RegExp(`^${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}$`);

const parseIpv4 = (text: string): bigint | undefined => {
  const octets = DOTTED_QUAD.exec(text);
  if (octets === null) return undefined;
  const [, a, b, c, d] = octets;
  return BigInt(Number(a) * 2 ** 24 + Number(b) * 2 ** 16 + Number(c) * 2 ** 8 + Number(d));
};

const parseIpv6 = (text: string): bigint | undefined => {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const before = parseGroups(head, tail === undefined);
  const after = parseGroups(tail ?? '', true);
  if (before === undefined || after === undefined) return undefined;
  const missing = 8 - before.length - after.length;
  // `::` stands for at least one group.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...new Array<number>(missing).fill(0), ...after];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
};

/** Groups between colons; the last may be a dotted quad when the text ends the address. */
const parseGroups = (text: string, last: boolean): number[] | undefined => {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const quad = last && index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (quad === undefined) return undefined;
    groups.push(Number(quad >> 16n), Number(quad & 0xffffn));
  }
  return groups;
};

const dottedQuad = (value: bigint): string => {
  const bits = Number(value);
  return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}`;
};

const longestZeroRun = (groups: string[]): { start: number; length: number } => {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === '0' ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
};
