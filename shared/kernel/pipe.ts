import { closeSync, joinBytes, readSync } from './files.ts';
import { libc } from './libc.ts';

/** The reading end of a child's output, which is collected as it comes. */
export class Pipe {
  /** -1 after its end. */
  fd: number;
  /** Bytes read so far. */
  size = 0;
  readonly #chunks: Uint8Array[] = [];

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Reads what is there, after poll(2) said that something is; closes the pipe at its end. */
  read(): void {
    const buffer = new Uint8Array(READ_BYTES);
    const count = readSync(this.fd, buffer);
    if (count === 0) {
      this.close();
      return;
    }
    this.#chunks.push(buffer.subarray(0, count));
    this.size += count;
  }

  text(): string {
    return new TextDecoder().decode(joinBytes(this.#chunks));
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}

/**
 * Waits up to `timeoutMs` until one of `readable` can be read (or is at its end) or `writable` written;
 * negative descriptors are passed over. Returns for each in turn whether it is ready, `writable` last.
 */
export const pollFds = (readable: number[], writable: number, timeoutMs: number): boolean[] => {
  const fds = [...readable, writable];
  // struct pollfd: int fd; short events; short revents.
  const pollfds = new Int16Array(fds.length * 4);
  const view = new DataView(pollfds.buffer);
  for (const [index, fd] of fds.entries()) {
    view.setInt32(index * 8, fd, true);
    view.setInt16(index * 8 + 4, index === readable.length ? POLLOUT : POLLIN, true);
  }
  libc().poll(
    pollfds,
    BigInt(fds.length),
    Number.isFinite(timeoutMs) ? Math.max(0, Math.ceil(timeoutMs)) : -1,
  );
  return fds.map((_, index) => view.getInt16(index * 8 + 6, true) !== 0);
};

const READ_BYTES = 16 * 1024;
const POLLIN = 1;
const POLLOUT = 4;
