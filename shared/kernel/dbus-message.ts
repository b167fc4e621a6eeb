/**
 * D-Bus messages as bytes (D-Bus Specification, "Message Protocol"), apart from any socket: only method
 * calls with strings as arguments, and what is answered to them.
 */
export interface DbusCall {
  destination: string;
  path: string;
  interface: string;
  member: string;
  arguments: readonly string[];
}

export interface DbusReply {
  /** The serial of the call that it answers; 0 for a signal. */
  replyTo: number;
  /** Of an error, such as `org.freedesktop.DBus.Error.NameHasNoOwner`. */
  errorName?: string;
  /** The first value of the body, where it is a string or a boolean. */
  value?: string | boolean;
}

/** A whole method call; `serial` is from 1 on and chosen by the caller. Little-endian. */
export const encodeDbusCall = (call: DbusCall, serial: number): Uint8Array => {
  const body = new Writer();
  for (const argument of call.arguments) body.string(argument);
  const signature = 's'.repeat(call.arguments.length);
  const message = new Writer();
  message.bytes(LITTLE_ENDIAN, METHOD_CALL, 0, PROTOCOL_VERSION);
  message.uint32(body.length);
  message.uint32(serial);
  const fields = new Writer();
  fields.field(FIELD_PATH, 'o', call.path);
  fields.field(FIELD_INTERFACE, 's', call.interface);
  fields.field(FIELD_MEMBER, 's', call.member);
  fields.field(FIELD_DESTINATION, 's', call.destination);
  if (signature !== '') fields.field(FIELD_SIGNATURE, 'g', signature);
  message.uint32(fields.length);
  message.append(fields);
  message.align(8);
  message.append(body);
  return message.result();
};

/**
 * The first message in `bytes` with its length; undefined while it is not complete. Throws RangeError on
 * one that is malformed, big-endian, or longer than any answer to a call of ours.
 */
export const parseDbusMessage = (bytes: Uint8Array): { reply: DbusReply; length: number } | undefined => {
  if (bytes.length < HEADER_BYTES) return undefined;
  if (bytes[0] !== LITTLE_ENDIAN) throw new RangeError('D-Bus: a message is not little-endian');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fieldsEnd = HEADER_BYTES + view.getUint32(12, true);
  const bodyStart = (fieldsEnd + 7) & ~7;
  const length = bodyStart + view.getUint32(4, true);
  if (length > LONGEST_MESSAGE) throw new RangeError(`D-Bus: a message claims ${length} bytes`);
  if (bytes.length < length) return undefined;
  const reader = new Reader(bytes.subarray(0, length), HEADER_BYTES);
  const fields = new Map<number, string | number | boolean | undefined>();
  while (reader.position < fieldsEnd) {
    reader.align(8);
    const code = reader.byte();
    fields.set(code, reader.value(reader.signature()));
  }
  reader.position = bodyStart;
  const signature = String(fields.get(FIELD_SIGNATURE) ?? '');
  const value = signature === '' ? undefined : reader.value(signature.charAt(0));
  const errorName = bytes[1] === ERROR ? String(fields.get(FIELD_ERROR_NAME) ?? 'error') : undefined;
  return {
    reply: {
      replyTo: Number(fields.get(FIELD_REPLY_SERIAL) ?? 0),
      ...(errorName === undefined ? {} : { errorName }),
      ...(typeof value === 'string' || typeof value === 'boolean' ? { value } : {}),
    },
    length,
  };
};

const LITTLE_ENDIAN = 0x6c;
const METHOD_CALL = 1;
const ERROR = 3;
const PROTOCOL_VERSION = 1;
const FIELD_PATH = 1;
const FIELD_INTERFACE = 2;
const FIELD_MEMBER = 3;
const FIELD_ERROR_NAME = 4;
const FIELD_REPLY_SERIAL = 5;
const FIELD_DESTINATION = 6;
const FIELD_SIGNATURE = 8;

/** Up to and with the length of the header's fields. */
const HEADER_BYTES = 16;
const LONGEST_MESSAGE = 1024 * 1024;

class Writer {
  readonly #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  bytes(...values: number[]): void {
    this.#bytes.push(...values);
  }

  align(boundary: number): void {
    while (this.#bytes.length % boundary !== 0) this.#bytes.push(0);
  }

  uint32(value: number): void {
    this.align(4);
    this.bytes(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24);
  }

  string(text: string): void {
    const encoded = new TextEncoder().encode(text);
    this.uint32(encoded.length);
    this.bytes(...encoded, 0);
  }

  /** A header field: its code, and a variant of a string, an object path or a signature. */
  field(code: number, type: 's' | 'o' | 'g', text: string): void {
    this.align(8);
    this.bytes(code, 1, type.charCodeAt(0), 0);
    if (type !== 'g') this.string(text);
    else this.bytes(text.length, ...new TextEncoder().encode(text), 0);
  }

  /** What another one holds; both must be at a multiple of 8 bytes. */
  append(other: Writer): void {
    for (const byte of other.#bytes) this.#bytes.push(byte);
  }

  result(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  position: number;

  constructor(bytes: Uint8Array, position: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
  }

  align(boundary: number): void {
    this.position = Math.ceil(this.position / boundary) * boundary;
  }

  byte(): number {
    this.position += 1;
    return this.#view.getUint8(this.position - 1);
  }

  signature(): string {
    return this.#text(this.byte());
  }

  /** A value of a basic type; undefined for other types, after which nothing more can be read. */
  value(type: string): string | number | boolean | undefined {
    if (type === 'g') return this.signature();
    if (type !== 's' && type !== 'o' && type !== 'u' && type !== 'b') return undefined;
    this.align(4);
    const number = this.#view.getUint32(this.position, true);
    this.position += 4;
    if (type === 'u') return number;
    return type === 'b' ? number !== 0 : this.#text(number);
  }

  #text(length: number): string {
    const start = this.position;
    this.position += length + 1;
    if (this.position > this.#bytes.length) throw new RangeError('D-Bus: a text is cut off');
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }
}
