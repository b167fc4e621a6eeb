import { formatAddress, parseAddress } from '../kernel/address-math.ts';
import type { NftValue } from './nft-plan.ts';

/** An IPv4 or IPv6 address. Throws TypeError on any other text. */
export const addressValue = (address: string): NftValue => {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw new TypeError(`not an IP address: ${address}`);
  return { text: address, bytes: bigEndian(parsed.value, parsed.family === 4 ? 4 : 16) };
};

/** The name of an interface on the host. Throws TypeError on one that nft cannot take literally. */
export const ifnameValue = (name: string): NftValue => {
  if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name)) throw new TypeError(`not a plain interface name: ${name}`);
  const bytes = new Uint8Array(16);
  new TextEncoder().encodeInto(name, bytes);
  return { text: `"${name}"`, bytes };
};

/** A MAC address, `02:00:00:00:00:01`. Throws TypeError on any other text. */
export const macValue = (mac: string): NftValue => {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) throw new TypeError(`not a MAC address: ${mac}`);
  return {
    text: mac.toLowerCase(),
    bytes: Uint8Array.from(mac.split(':'), (part) => Number.parseInt(part, 16)),
  };
};

/** The number of a protocol, as nft writes it by name. Throws TypeError on one that is not known here. */
export const protocolValue = (protocol: string): NftValue => {
  const number = PROTOCOL_NUMBERS[protocol];
  if (number === undefined) throw new TypeError(`not a known protocol: ${protocol}`);
  return { text: protocol, bytes: Uint8Array.of(number) };
};

/** A port, 0 to 65535. Throws TypeError on any other number. */
export const portValue = (port: number): NftValue => {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) throw new TypeError(`not a port: ${port}`);
  return { text: String(port), bytes: Uint8Array.of(port >> 8, port & 0xff) };
};

/** Several values as one key: the kernel pads each to a multiple of 4 bytes. */
export const concatenation = (...values: NftValue[]): NftValue => ({
  text: values.map((value) => value.text).join(' . '),
  bytes: Uint8Array.from(
    values.flatMap(({ bytes }) => [...bytes, ...new Array((4 - (bytes.length % 4)) % 4).fill(0)]),
  ),
});

/** IANA's, for the protocols whose ports can be mapped. */
const PROTOCOL_NUMBERS: Record<string, number> = { tcp: 6, udp: 17, sctp: 132 };

const bigEndian = (value: bigint, length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (let index = length - 1, rest = value; index >= 0; index--, rest >>= 8n)
    bytes[index] = Number(rest & 0xffn);
  return bytes;
};

/** The text of a key that was read from a set of that type. Throws TypeError on a type not known here. */
export const formatKey = (type: string, bytes: Uint8Array): string => {
  let offset = 0;
  return type
    .split(' . ')
    .map((part) => {
      const format = KEY_FORMATS[part];
      if (format === undefined) throw new TypeError(`cannot write a key of type ${part}`);
      const text = format.text(bytes.subarray(offset, offset + format.length));
      offset += Math.ceil(format.length / 4) * 4;
      return text;
    })
    .join(' . ');
};

const KEY_FORMATS: Record<string, { length: number; text: (bytes: Uint8Array) => string }> = {
  ipv4_addr: { length: 4, text: (bytes) => formatAddress({ family: 4, value: toBigInt(bytes) }) },
  ipv6_addr: { length: 16, text: (bytes) => formatAddress({ family: 6, value: toBigInt(bytes) }) },
  ifname: { length: 16, text: (bytes) => `"${new TextDecoder().decode(bytes).replace(/\0+$/, '')}"` },
  inet_proto: { length: 1, text: ([number = 0]) => protocolName(number) },
  inet_service: { length: 2, text: ([high = 0, low = 0]) => String((high << 8) | low) },
  ether_addr: { length: 6, text: (bytes) => Array.from(bytes, hexByte).join(':') },
};

const protocolName = (number: number): string =>
  Object.entries(PROTOCOL_NUMBERS).find(([, known]) => known === number)?.[0] ?? String(number);

const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0');

const toBigInt = (bytes: Uint8Array): bigint =>
  bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
