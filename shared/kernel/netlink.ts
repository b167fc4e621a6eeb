import { closeSync } from './files.ts';
import { checked, libc } from './libc.ts';
import { AF_NETLINK, exchange, SOCK_CLOEXEC, SOCK_RAW } from './netlink-exchange.ts';
import {
  encodeMessage,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REQUEST,
} from './netlink-message.ts';

const NETLINK_ROUTE = 0;

/** What a request asks the family for: a message type, the family's struct, and attributes. */
interface NetlinkQuery {
  type: number;
  parts: Uint8Array[];
  dump: boolean;
  /** The kernel sends the answer as a notification, of which the asker is told only so: traffic control does. */
  echo?: boolean;
  /** For a message that would make something, were it not refused. */
  create?: boolean;
}

/** Asks rtnetlink in the netns of the calling thread and returns the answers' payloads. */
export const queryRoute = ({ type, parts, ...options }: NetlinkQuery): Uint8Array[] => {
  sequence += 1;
  const { dump, echo = false, create = false } = options;
  const flags =
    NLM_F_REQUEST |
    (dump ? NLM_F_DUMP : 0) |
    (echo ? NLM_F_ECHO : 0) |
    (create ? NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK : 0);
  const request = encodeMessage({ type, flags, sequence }, ...parts);
  return netlinkRequest(NETLINK_ROUTE, request).map(({ payload }) => payload);
};

/**
 * Sends one whole message to the kernel's `protocol` in the netns of the calling thread and returns the
 * answers, by a socket of its own. Throws as `exchange` does.
 */
export const netlinkRequest = (protocol: number, message: Uint8Array): NetlinkMessage[] => {
  const fd = checked(
    libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol),
    'opening a netlink socket',
  );
  try {
    // Lets the kernel filter dumps by interface. Before 4.20 it cannot; then the caller's filter does it.
    libc().setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, new Int32Array([1]), 4);
    return exchange(fd, message, 'netlink request');
  } finally {
    closeSync(fd);
  }
};

const SOL_NETLINK = 270;
const NETLINK_GET_STRICT_CHK = 12;

let sequence = 0;
