import { checked, errno, libc, SystemError } from './libc.ts';
import { type NetlinkMessage, parseMessages, viewOf } from './netlink-message.ts';

/** For socket(2). */
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0x80000;

/**
 * Sends one whole message by a netlink socket and returns the answers, without the closing one. For
 * reading only: a get that has an answer, or a dump, which is repeated when what it lists changed under
 * way (NLM_F_DUMP_INTR). Throws SystemError with the kernel's errno, named after `action`.
 */
export const exchange = (fd: number, message: Uint8Array, action: string): NetlinkMessage[] => {
  for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt += 1) {
    checked(libc().send(fd, message, message.length, 0), action);
    const answers = receiveAnswers(fd, viewOf(message).getUint32(8, true), action);
    if (answers !== 'interrupted') return answers;
  }
  throw new Error(`${action}: the objects changed during each of ${DUMP_ATTEMPTS} attempts to list them`);
};

const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 0x2;
const NLM_F_DUMP_INTR = 0x10;
const EINTR = 4;

const DUMP_ATTEMPTS = 50;

/** The kernel fills at most 32 KiB per receive call of a dump; a single answer is smaller. */
const BUFFER_BYTES = 64 * 1024;

let buffer: Uint8Array | undefined;

const receiveAnswers = (fd: number, expected: number, action: string): NetlinkMessage[] | 'interrupted' => {
  const answers: NetlinkMessage[] = [];
  let interrupted = false;
  for (;;) {
    for (const message of parseMessages(receive(fd, action))) {
      if (message.sequence !== expected) continue;
      if (message.flags & NLM_F_DUMP_INTR) interrupted = true;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        const code = message.payload.length < 4 ? 0 : viewOf(message.payload).getInt32(0, true);
        if (code < 0) throw new SystemError(-code, action);
        return interrupted ? 'interrupted' : answers;
      }
      answers.push(message);
      if ((message.flags & NLM_F_MULTI) === 0) return answers;
    }
  }
};

/**
 * One datagram. The kernel answers within the send call, and goes on with a dump within the receive
 * call, so there is never anything to wait for, and a missing answer is an error (EAGAIN).
 */
const receive = (fd: number, action: string): Uint8Array => {
  buffer ??= new Uint8Array(BUFFER_BYTES);
  let length = -1;
  do {
    length = libc().recv(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
  } while (length < 0 && errno() === EINTR);
  checked(length, action);
  if (length > buffer.length) throw new RangeError(`${action}: an answer of ${length} bytes was cut off`);
  return buffer.slice(0, length);
};
