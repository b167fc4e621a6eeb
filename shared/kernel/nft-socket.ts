import { closeSync } from './files.ts';
import { checked, errno, libc, SystemError } from './libc.ts';
import { AF_NETLINK, exchange, SOCK_CLOEXEC, SOCK_RAW } from './netlink-exchange.ts';

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
    try {
      return exchange(fd, message, 'reading nftables').map(({ payload }) => payload);
    } catch (error) {
      if (error instanceof SystemError && ABSENT.has(error.code)) return undefined;
      throw error;
    }
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

const NETLINK_NETFILTER = 12;
const EPROTONOSUPPORT = 93;

/**
 * ENOENT: no such table, chain, set or element. The others: no nf_tables, or not for this family; EINVAL
 * also when a set of that name has keys of another length.
 */
const ABSENT = new Set(['ENOENT', 'EOPNOTSUPP', 'EAFNOSUPPORT', 'EINVAL']);
