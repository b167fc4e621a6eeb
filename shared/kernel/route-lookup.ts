import { parseAddress } from './address-math.ts';
import { SystemError } from './libc.ts';
import { queryRoute } from './netlink.ts';
import { encodeAttribute, parseAttributes, readU32, viewOf } from './netlink-message.ts';
import { RTM_GETROUTE } from './route-message.ts';

/** Where the kernel would send a packet. */
export interface RouteLookup {
  /** The destination is an address of this host. */
  local: boolean;
  linkIndex?: number;
}

/**
 * Asks the kernel's routing, in the netns of the calling thread, about an address: text, or 4 or 16 bytes.
 * Undefined when there is no route, or the text is no address.
 */
export const lookUpRoute = (destination: string | Uint8Array): RouteLookup | undefined => {
  const bytes = typeof destination === 'string' ? bytesOf(destination) : destination;
  if (bytes === undefined) return undefined;
  const rtmsg = new Uint8Array(RTMSG_BYTES);
  rtmsg[0] = bytes.length === 4 ? AF_INET : AF_INET6;
  rtmsg[1] = bytes.length * 8;
  try {
    const parts = [rtmsg, encodeAttribute(RTA_DST, bytes)];
    const [answer] = queryRoute({ type: RTM_GETROUTE, parts, dump: false });
    if (answer === undefined) return undefined;
    const linkIndex = readU32(parseAttributes(answer, RTMSG_BYTES).get(RTA_OIF));
    const local = viewOf(answer).getUint8(7) === RTN_LOCAL;
    return linkIndex === undefined ? { local } : { local, linkIndex };
  } catch (error) {
    if (error instanceof SystemError && UNREACHABLE.has(error.code)) return undefined;
    throw error;
  }
};

const AF_INET = 2;
const AF_INET6 = 10;
const RTMSG_BYTES = 12;
const RTN_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;

/** EINVAL and EACCES are what blackhole and prohibit routes answer. */
const UNREACHABLE = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EINVAL', 'EACCES', 'EAFNOSUPPORT']);

const bytesOf = (text: string): Uint8Array | undefined => {
  const address = parseAddress(text);
  if (address === undefined) return undefined;
  const bytes = new Uint8Array(address.family === 4 ? 4 : 16);
  for (let index = bytes.length - 1, rest = address.value; index >= 0; index--, rest >>= 8n)
    bytes[index] = Number(rest & 0xffn);
  return bytes;
};
