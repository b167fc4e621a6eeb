import { type DbusCall, type DbusReply, encodeDbusCall, parseDbusMessage } from './dbus-message.ts';
import { closeSync, joinBytes, readSync, writeFully } from './files.ts';
import { checked, libc } from './libc.ts';

/** A method call that was answered by an error. */
export class DbusError extends Error {
  override readonly name = 'DbusError';
  /** `org.freedesktop.DBus.Error.NameHasNoOwner` and the like. */
  readonly errorName: string;

  constructor(errorName: string, message: string) {
    super(message);
    this.errorName = errorName;
  }
}

/**
 * A connection to the system bus, by its socket: `busctl` would take 5 ms for each call. Calls are made
 * one after the other, each with 20 s for its answer.
 */
export class SystemBus {
  readonly #fd: number;
  #received: Uint8Array = new Uint8Array();
  #serial = 0;

  /**
   * Connects. Throws SystemError when there is no bus (ENOENT, ECONNREFUSED), or it does not answer
   * (EAGAIN), and Error when it refuses us.
   */
  constructor(address = systemBusAddress()) {
    this.#fd = checked(libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'opening a socket');
    try {
      this.#connect(address);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Calls a method and returns the first value of its answer. Throws DbusError, or as the constructor does. */
  call(call: DbusCall): string | boolean | undefined {
    const serial = this.#send(call);
    for (;;) {
      const reply = this.#next();
      if (reply.replyTo !== serial) continue;
      if (reply.errorName !== undefined)
        throw new DbusError(reply.errorName, String(reply.value ?? reply.errorName));
      return reply.value;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Everything up to the bus's name for us goes out in one write, as sd-bus does it. */
  #connect(address: string): void {
    const sockaddr = new Uint8Array([AF_UNIX, 0, ...new TextEncoder().encode(address), 0]);
    for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
      libc().setsockopt(this.#fd, SOL_SOCKET, option, BigInt64Array.of(TIMEOUT_S, 0n), 16);
    }
    checked(libc().connect(this.#fd, sockaddr, sockaddr.length), `connecting to ${address}`);
    const identity = Array.from(String(process.geteuid?.() ?? 0), (digit) =>
      digit.charCodeAt(0).toString(16),
    );
    writeFully(this.#fd, `\0AUTH EXTERNAL ${identity.join('')}\r\nBEGIN\r\n`);
    const hello = this.#send({ ...BUS, member: 'Hello', arguments: [] });
    this.#authenticated();
    while (this.#next().replyTo !== hello) {
      // A signal of the bus.
    }
  }

  #send(call: DbusCall): number {
    this.#serial += 1;
    writeFully(this.#fd, encodeDbusCall(call, this.#serial));
    return this.#serial;
  }

  /** Takes the line that answers the authentication. */
  #authenticated(): void {
    let end = -1;
    while (end < 0) {
      this.#receive();
      end = this.#received.indexOf(NEWLINE);
    }
    const line = new TextDecoder().decode(this.#received.subarray(0, end)).trim();
    if (!line.startsWith('OK')) throw new Error(`the system bus refuses us: ${line}`);
    this.#received = this.#received.subarray(end + 1);
  }

  #next(): DbusReply {
    for (;;) {
      const message = parseDbusMessage(this.#received.slice());
      if (message !== undefined) {
        this.#received = this.#received.subarray(message.length);
        return message.reply;
      }
      this.#receive();
    }
  }

  #receive(): void {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const count = readSync(this.#fd, chunk);
    if (count === 0) throw new Error('the system bus closed the connection');
    this.#received = joinBytes([this.#received, chunk.subarray(0, count)]);
  }
}

/** The bus itself, as the destination of a call. */
export const BUS = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

/** The path of the system bus's socket (D-Bus Specification, "Well-known Message Bus Instances"). */
export const systemBusAddress = (): string =>
  /^unix:path=([^,;%]+)/.exec(process.env.DBUS_SYSTEM_BUS_ADDRESS ?? '')?.[1] ??
  '/var/run/dbus/system_bus_socket';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const TIMEOUT_S = 20n;
const CHUNK_BYTES = 4096;
const NEWLINE = 10;
