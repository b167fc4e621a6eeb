/**
 * Netlink messages as bytes (linux/netlink.h), apart from any socket. Integers are in the host's byte
 * order, which on x64 and arm64 is little-endian; a message of another layout throws RangeError.
 */
export interface NetlinkMessage {
  type: number;
  flags: number;
  sequence: number;
  /** What follows the header: a struct of the family, then attributes. */
  payload: Uint8Array;
}

/** Attribute values by type, nested and byte-order flags taken off; of a repeated one the last. */
export type Attributes = Map<number, Uint8Array>;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_ECHO = 0x8;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_DUMP = 0x300;
const HEADER_BYTES = 16;

/** A whole message: header, then the parts, each padded to 4 bytes. */
export const encodeMessage = (
  { type, flags, sequence }: { type: number; flags: number; sequence: number },
  ...parts: Uint8Array[]
): Uint8Array => {
  let length = HEADER_BYTES;
  for (const part of parts) length += align(part.length);
  const message = new Uint8Array(length);
  const view = viewOf(message);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  let offset = HEADER_BYTES;
  for (const part of parts) {
    message.set(part, offset);
    offset += align(part.length);
  }
  return message;
};

export const encodeAttribute = (type: number, value: Uint8Array): Uint8Array => {
  const attribute = new Uint8Array(4 + value.length);
  const view = viewOf(attribute);
  view.setUint16(0, attribute.length, true);
  view.setUint16(2, type, true);
  attribute.set(value, 4);
  return attribute;
};

export const encodeU32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
};

/** The messages in what one receive call returned; their payloads are views of it. */
export const parseMessages = (bytes: Uint8Array): NetlinkMessage[] => {
  const messages: NetlinkMessage[] = [];
  const view = viewOf(bytes);
  for (let offset = 0; offset < bytes.length; ) {
    if (offset + HEADER_BYTES > bytes.length) throw new RangeError('netlink: a message header is cut off');
    const length = view.getUint32(offset, true);
    if (length < HEADER_BYTES || offset + length > bytes.length) {
      throw new RangeError(`netlink: a message claims ${length} bytes, ${bytes.length - offset} are there`);
    }
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      payload: bytes.subarray(offset + HEADER_BYTES, offset + length),
    });
    offset += align(length);
  }
  return messages;
};

/** The attributes that fill `bytes` from `offset` on. */
export const parseAttributes = (bytes: Uint8Array, offset = 0): Attributes => {
  const attributes: Attributes = new Map();
  if (offset > bytes.length) throw new RangeError('netlink: a message is shorter than its struct');
  const view = viewOf(bytes);
  for (let at = offset; at < bytes.length; ) {
    const length = at + 4 <= bytes.length ? view.getUint16(at, true) : 0;
    if (length < 4 || at + length > bytes.length) {
      throw new RangeError(`netlink: an attribute claims ${length} bytes, ${bytes.length - at} are there`);
    }
    attributes.set(view.getUint16(at + 2, true) & TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return attributes;
};

/** The attributes nested in one, none when it is absent. */
export const nested = (value: Uint8Array | undefined): Attributes =>
  value === undefined ? new Map() : parseAttributes(value);

export const readU8 = (value: Uint8Array | undefined): number | undefined =>
  value === undefined ? undefined : viewOf(value).getUint8(0);

export const readU32 = (value: Uint8Array | undefined): number | undefined =>
  value === undefined ? undefined : viewOf(value).getUint32(0, true);

/** A text up to its terminating zero byte. */
export const readText = (value: Uint8Array | undefined): string | undefined => {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
};

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const TYPE_MASK = 0x3fff;

const align = (length: number): number => (length + 3) & ~3;
