import { closeSync } from './files.ts';
import { checked, errno, libc, SystemError } from './libc.ts';
import {
  encodeMessage,
  type NetlinkMessage,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  parseMessages,
  viewOf,
} from './netlink-message.ts';

const NETLINK_ROUTE = 0;

/** What a request asks the family for: a message type, the family's struct, and attributes. */
interface NetlinkQuery {
  type: number;
  parts: Uint8Array[];
  dump: boolean;
}

/** Asks rtnetlink in the netns of the calling thread and returns the answers' payloads. */
export const queryRoute = ({ type, parts, dump }: NetlinkQuery): Uint8Array[] => {
  sequence += 1;
  const flags = NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0);
  const request = encodeMessage({ type, flags, sequence }, ...parts);
  return netlinkRequest(NETLINK_ROUTE, request).map(({ payload }) => payload);
};

/**
 * Sends one whole message to the kernel's `protocol` in the netns of the calling thread and returns the
 * answers, without the closing one. For reading only: a get that has an answer, or a dump, which is
 * repeated when it changed under way (NLM_F_DUMP_INTR). Throws SystemError with the kernel's errno.
 */
export const netlinkRequest = (protocol: number, message: Uint8Array): NetlinkMessage[] => {
  const fd = checked(
    libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol),
    'opening a netlink socket',
  );
  try {
    // Lets the kernel filter dumps by interface. Before 4.20 it cannot; then the caller's filter does it.
    libc().setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, new Int32Array([1]), 4);
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt += 1) {
      checked(libc().send(fd, message, message.length, 0), 'sending a netlink request');
      const answers = receiveAnswers(fd, viewOf(message).getUint32(8, true));
      if (answers !== 'interrupted') return answers;
    }
    throw new Error(`netlink: the objects changed during each of ${DUMP_ATTEMPTS} attempts to list them`);
  } finally {
    closeSync(fd);
  }
};

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_NETLINK = 270;
const NETLINK_GET_STRICT_CHK = 12;
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

let sequence = 0;
let buffer: Uint8Array | undefined;

const receiveAnswers = (fd: number, expected: number): NetlinkMessage[] | 'interrupted' => {
  const answers: NetlinkMessage[] = [];
  let interrupted = false;
  for (;;) {
    for (const message of parseMessages(receive(fd))) {
      if (message.sequence !== expected) continue;
      if (message.flags & NLM_F_DUMP_INTR) interrupted = true;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        const code = message.payload.length < 4 ? 0 : viewOf(message.payload).getInt32(0, true);
        if (code < 0) throw new SystemError(-code, 'netlink request');
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
const receive = (fd: number): Uint8Array => {
  buffer ??= new Uint8Array(BUFFER_BYTES);
  let length = -1;
  do {
    length = libc().recv(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
  } while (length < 0 && errno() === EINTR);
  checked(length, 'receiving a netlink answer');
  if (length > buffer.length) throw new RangeError(`netlink: an answer of ${length} bytes was cut off`);
  return buffer.slice(0, length);
};
