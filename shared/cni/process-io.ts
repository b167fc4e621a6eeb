import { ptr } from 'bun:ffi';
import { readSync, writeSync } from 'node:fs';
import { libc } from '../kernel/libc.ts';
import { CniError, ErrorCode } from './errors.ts';

/** A network configuration is a few KiB; one with a large prevResult or attachment list some hundred. */
const maxStdinBytes = 16 * 1024 * 1024;

/** A runtime writes the configuration at once; one that doesn't in this time (ms) never will. */
const stdinTimeoutMs = 10_000;

const POLLIN = 1;
const POLLOUT = 4;
const POLLHUP = 16;

/**
 * All of standard input, without touching `process.stdin` (8 ms). Throws CniError 5 when it can't be
 * read, does not end within 10 s, or is larger than 16 MiB.
 */
export const readStdin = (): Uint8Array => {
  const chunks: Uint8Array[] = [];
  const deadline = performance.now() + stdinTimeoutMs;
  let total = 0;
  for (;;) {
    const remaining = deadline - performance.now();
    if (remaining <= 0 || !waitFor(0, POLLIN, remaining)) {
      throw unreadable(
        `stdin did not end within ${stdinTimeoutMs / 1000} s`,
        'Close it after writing the network configuration.',
      );
    }
    const chunk = readChunk();
    if (chunk.length === 0) return Buffer.concat(chunks);
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
  try {
    while (chunks.length < 16 && waitFor(0, POLLIN, waitMs)) {
      const chunk = readChunk();
      if (chunk.length === 0) break;
      chunks.push(chunk);
    }
  } catch {
    // Closed or unreadable: VERSION does without.
  }
  return Buffer.concat(chunks);
};

/** Writes all of `text` to a file descriptor; throws the system's error (EPIPE, ENOSPC) when it can't. */
export const writeAll = (fd: number, text: string): void => {
  let bytes: Uint8Array = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(fd, bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      waitFor(fd, POLLOUT, 1000);
    }
  }
};

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

/** poll(2) on one descriptor; true when it is ready or at its end. */
const waitFor = (fd: number, events: number, timeoutMs: number): boolean => {
  const pollfd = new Int16Array([fd & 0xffff, fd >> 16, events, 0]);
  const ready = libc().poll(ptr(pollfd), 1n, Math.ceil(timeoutMs));
  return ready > 0 && ((pollfd[3] ?? 0) & (events | POLLHUP | 0x38)) !== 0;
};

const unreadable = (message: string, details: string, cause?: unknown): CniError =>
  new CniError(ErrorCode.ioFailure, message, { details, cause });
