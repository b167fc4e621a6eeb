import { checked, libc } from './libc.ts';

/** A random unicast address from the locally administered range, such as `0a:58:1b:9c:00:ff`. */
export const randomMac = (): string => {
  const bytes = new Uint8Array(6);
  checked(libc().getrandom(bytes, BigInt(bytes.length), 0), 'getrandom');
  // Bit 0 of the first byte: multicast; bit 1: locally administered (IEEE 802).
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return formatMac(bytes);
};

/**
 * Six bytes in hexadecimal with colons or hyphens, or in Cisco's form `0011.2233.4455` (what Go's
 * `net.ParseMAC` takes), as lower case with colons. Undefined for anything else.
 */
export const parseMac = (text: string): string | undefined => {
  if (!/^([0-9a-f]{2}([:-]))([0-9a-f]{2}\2){4}[0-9a-f]{2}$|^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i.test(text)) {
    return undefined;
  }
  return (text.toLowerCase().replace(/[:.-]/g, '').match(/../g) ?? []).join(':');
};

/** Bytes as hexadecimal with colons. */
export const formatMac = (bytes: Uint8Array): string => bytes.toHex().replace(/..(?=.)/g, '$&:');
