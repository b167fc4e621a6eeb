import { parseAddress } from './address-math.ts';
import { SystemError } from './libc.ts';
import { queryRoute } from './netlink.ts';
import { encodeAttribute, encodeU32, viewOf } from './netlink-message.ts';
import { RTM_GETROUTE } from './route-message.ts';

/**
 * Whether the netns of the calling thread takes in what comes for an IPv6 address by that interface. The
 * kernel adds an address at once, but the route that delivers to it in a work queue, also without
 * duplicate address detection: a busy machine may take some ms (net/ipv6/addrconf.c, addrconf_dad_work).
 * IPv4 addresses have no such gap: for them it is always true.
 */
export const isDelivered = (address: string, linkIndex: number): boolean => {
  const parsed = parseAddress(address);
  if (parsed?.family !== 6) return true;
  const rtmsg = new Uint8Array(RTMSG_BYTES);
  rtmsg[0] = AF_INET6;
  rtmsg[1] = 128;
  const destination = encodeAttribute(RTA_DST, bytesOf(parsed.value));
  const parts = [rtmsg, destination, encodeAttribute(RTA_OIF, encodeU32(linkIndex))];
  try {
    const [answer] = queryRoute({ type: RTM_GETROUTE, parts, dump: false });
    return answer !== undefined && viewOf(answer).getUint8(7) === RTN_LOCAL;
  } catch (error) {
    if (error instanceof SystemError && UNREACHABLE.has(error.code)) return false;
    throw error;
  }
};

const bytesOf = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, index) => Number((value >> BigInt(8 * (15 - index))) & 0xffn));

const UNREACHABLE = new Set(['ENETUNREACH', 'EHOSTUNREACH']);
const AF_INET6 = 10;
const RTMSG_BYTES = 12;
const RTN_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
