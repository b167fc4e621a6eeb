import { joinBytes, readSync, writeSync } from '../kernel/files.ts';
import { errno, libc, type SystemError } from '../kernel/libc.ts';
import { CniError, ErrorCode } from './errors.ts';

/** A network configuration is a few KiB; one with a large prevResult or attachment list some hundred. */
const maxStdinBytes = 16 * 1024 * 1024;

/** A runtime writes the configuration at once; one that doesn't in this time (ms) never will. */
const stdinTimeoutMs = 10_000;

/** How long a reader may let us wait with a full pipe (ms). */
const stdoutTimeoutMs = 10_000;

const POLLIN = 1;
const POLLOUT = 4;
const EINTR = 4;

/**
 * All of standard input, without touching `process.stdin` (8 ms). Throws CniError 5 when it can't be
 * read, does not end within 10 s, or is larger than 16 MiB.
 */
export const readStdin = (): Uint8Array => {
  const chunks: Uint8Array[] = [];
  const deadline = performance.now() + stdinTimeoutMs;
  let total = 0;
  for (;;) {
    if (!waitFor(0, POLLIN, deadline)) {
      throw unreadable(
        `stdin did not end within ${stdinTimeoutMs / 1000} s`,
        'Close it after writing the network configuration.',
      );
    }
    const chunk = readChunk();
    if (chunk.length === 0) return joinBytes(chunks);
    chunks.push(chunk);
    total += chunk.length;
    if (total > maxStdinBytes) {
      throw unreadable(
        `stdin is larger than ${maxStdinBytes / 1024 / 1024} MiB`,
        'It should hold one network configuration.',
      );
    }
  }
};

/** What stdin holds right now, for VERSION, which must not wait on a terminal or an idle pipe (ms). */
export const readStdinIfReady = (waitMs: number): Uint8Array => {
  const chunks: Uint8Array[] = [];
  const deadline = performance.now() + waitMs;
  try {
    while (chunks.length < 16 && waitFor(0, POLLIN, deadline)) {
      const chunk = readChunk();
      if (chunk.length === 0) break;
      chunks.push(chunk);
    }
  } catch {
    // Closed or unreadable: VERSION does without.
  }
  return joinBytes(chunks);
};

/** Writes all of `text` to a file descriptor; throws the system's error (EPIPE, ENOSPC) when it can't. */
export const writeAll = (fd: number, text: string): void => {
  let bytes: Uint8Array = new TextEncoder().encode(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(fd, bytes));
    } catch (error) {
      if ((error as SystemError).code !== 'EAGAIN') throw error;
      if (!waitFor(fd, POLLOUT, performance.now() + stdoutTimeoutMs)) throw error;
    }
  }
};

/** From now on a write past RLIMIT_FSIZE fails with EFBIG, where SIGXFSZ would end the process half-way. */
export const surviveFileSizeLimit = (): void => {
  libc().signal(SIGXFSZ, SIG_IGN);
};

const SIGXFSZ = 25;
const SIG_IGN = 1n;

const readChunk = (): Uint8Array => {
  const buffer = new Uint8Array(64 * 1024);
  try {
    return buffer.subarray(0, readSync(0, buffer));
  } catch (error) {
    throw unreadable(
      `stdin can't be read: ${(error as Error).message}`,
      'Give the network configuration on stdin.',
      error,
    );
  }
};

/**
 * poll(2) on one descriptor until `deadline` (of performance.now()); true when it is ready, at its end or
 * in error, which the read or write after it then tells. Stopping and continuing the process interrupts
 * poll without any handler (signal(7)), so that is tried again.
 */
const waitFor = (fd: number, events: number, deadline: number): boolean => {
  const pollfd = new Int16Array([fd & 0xffff, fd >> 16, events, 0]);
  for (;;) {
    const remaining = Math.max(0, Math.ceil(deadline - performance.now()));
    const ready = libc().poll(pollfd, 1n, remaining);
    if (ready > 0) return true;
    if (ready === 0 && remaining === 0) return false;
    if (ready < 0 && errno() !== EINTR) return true;
  }
};

const unreadable = (message: string, details: string, cause?: unknown): CniError =>
  new CniError(ErrorCode.ioFailure, message, { details, cause });
