import { closeSync } from './files.ts';
import { checked, errno, libc, SystemError } from './libc.ts';
import { type NetlinkMessage, parseMessages, viewOf } from './netlink-message.ts';

/**
 * An nfnetlink socket for reading nftables, bound to the netns of the thread that opens it. One is kept
 * for a whole operation and handed to its children (`inherit` of `startCommand`), because closing an nfnetlink
 * socket for good makes the closer wait, some 12 ms, as long as anything deleted from nftables in this
 * netns, by whomever, is not freed yet (`nft_rcv_nl_event`). A child that waits for that anyway then
 * closes it in our stead.
 */
export class NftSocket {
  /** Undefined on a kernel without nfnetlink. */
  readonly fd: number | undefined;

  constructor() {
    const fd = libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    this.fd = fd < 0 && errno() === EPROTONOSUPPORT ? undefined : checked(fd, 'opening an nfnetlink socket');
  }

  /**
   * Sends one request to read something and returns the answers' payloads; undefined when it does not
   * exist, or the kernel has no nftables. Throws SystemError on other errors, such as EPERM.
   */
  ask(message: Uint8Array): Uint8Array[] | undefined {
    const { fd } = this;
    if (fd === undefined) return undefined;
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt += 1) {
      checked(libc().send(fd, message, message.length, 0), 'sending an nfnetlink request');
      const answers = receiveAnswers(fd, viewOf(message).getUint32(8, true));
      if (answers !== 'interrupted') return answers;
    }
    throw new Error(`nftables changed during each of ${DUMP_ATTEMPTS} attempts to list it`);
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
  }
}

/** Opens a socket for `body` and closes it afterwards, also when `body` fails. */
export const withNftSocket = async <T>(body: (socket: NftSocket) => Promise<T>): Promise<T> => {
  const socket = new NftSocket();
  try {
    return await body(socket);
  } finally {
    socket.close();
  }
};

/** As `withNftSocket`, for a synchronous body. */
export const readingNft = <T>(body: (socket: NftSocket) => T): T => {
  const socket = new NftSocket();
  try {
    return body(socket);
  } finally {
    socket.close();
  }
};

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_NETFILTER = 12;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 0x2;
const NLM_F_DUMP_INTR = 0x10;
const EINTR = 4;
const EPROTONOSUPPORT = 93;

const DUMP_ATTEMPTS = 50;

/** The kernel fills at most 32 KiB per receive call of a dump; a single answer is smaller. */
const BUFFER_BYTES = 64 * 1024;

let buffer: Uint8Array | undefined;

/**
 * ENOENT: no such table, chain, set or element. The others: no nf_tables, or not for this family; EINVAL
 * also when a set of that name has keys of another length.
 */
const ABSENT = new Set(['ENOENT', 'EOPNOTSUPP', 'EAFNOSUPPORT', 'EINVAL']);

const receiveAnswers = (fd: number, sequence: number): Uint8Array[] | undefined | 'interrupted' => {
  const answers: Uint8Array[] = [];
  let interrupted = false;
  for (;;) {
    for (const message of receive(fd)) {
      if (message.sequence !== sequence) continue;
      if (message.flags & NLM_F_DUMP_INTR) interrupted = true;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        if (isAbsent(message)) return undefined;
        return interrupted ? 'interrupted' : answers;
      }
      answers.push(message.payload);
      if ((message.flags & NLM_F_MULTI) === 0) return answers;
    }
  }
};

const isAbsent = ({ payload }: NetlinkMessage): boolean => {
  const code = payload.length < 4 ? 0 : viewOf(payload).getInt32(0, true);
  if (code >= 0) return false;
  const error = new SystemError(-code, 'reading nftables');
  if (ABSENT.has(error.code)) return true;
  throw error;
};

/** One datagram. The kernel answers within the send and receive calls: there is never a wait. */
const receive = (fd: number): NetlinkMessage[] => {
  buffer ??= new Uint8Array(BUFFER_BYTES);
  let length = -1;
  do {
    length = libc().recv(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
  } while (length < 0 && errno() === EINTR);
  checked(length, 'receiving an nfnetlink answer');
  if (length > buffer.length) throw new RangeError(`nfnetlink: an answer of ${length} bytes was cut off`);
  return parseMessages(buffer.slice(0, length));
};
