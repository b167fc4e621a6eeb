import { formatAddressBytes } from './address-math.ts';
import { formatMac } from './mac.ts';
import { encodeAttribute, encodeU32, parseAttributes, readU32, viewOf } from './netlink-message.ts';

/** An entry of a neighbour table: which MAC an address has. */
export interface NeighbourState {
  address: string;
  /** Absent while it is not known. */
  mac?: string;
  /** NUD_* of linux/neighbour.h. */
  state: number;
  /** NTF_* of the same. */
  flags: number;
}

/** An entry of a VXLAN device's forwarding database: behind which address a MAC is. */
export interface FdbState {
  mac: string;
  /** Absent where a nexthop group takes an address's place. */
  dst?: string;
  /** Where they differ from the device's own. */
  port?: number;
  vni?: number;
  /** Index of the device that packets leave by, where it is given. */
  via?: number;
  state: number;
  flags: number;
}

export const RTM_GETNEIGH = 30;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;

/** The parts of an RTM_GETNEIGH dump request for the neighbours of a device. */
export const neighbourQueryParts = (family: 4 | 6, linkIndex: number): Uint8Array[] => {
  const ndmsg = new Uint8Array(NDMSG_BYTES);
  ndmsg[0] = family === 4 ? AF_INET : AF_INET6;
  return [ndmsg, encodeAttribute(NDA_IFINDEX, encodeU32(linkIndex))];
};

/** The same for a device's forwarding database, where the index stands in the header. */
export const fdbQueryParts = (linkIndex: number): Uint8Array[] => {
  const ndmsg = new Uint8Array(NDMSG_BYTES);
  ndmsg[0] = AF_BRIDGE;
  viewOf(ndmsg).setInt32(4, linkIndex, true);
  return [ndmsg];
};

/** The device of an RTM_NEWNEIGH message's payload. */
export const neighbourLinkOf = (payload: Uint8Array): number => viewOf(payload).getInt32(4, true);

/** Reads the payload of an RTM_NEWNEIGH message of IPv4 or IPv6. Throws RangeError when it is malformed. */
export const parseNeighbour = (payload: Uint8Array): NeighbourState => {
  const attributes = parseAttributes(payload, NDMSG_BYTES);
  const view = viewOf(payload);
  const mac = attributes.get(NDA_LLADDR);
  return {
    address: formatAddressBytes(attributes.get(NDA_DST) ?? new Uint8Array(4)),
    ...(mac === undefined ? {} : { mac: formatMac(mac) }),
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
  };
};

/** Reads the payload of an RTM_NEWNEIGH message of a forwarding database. Throws RangeError when it is malformed. */
export const parseFdb = (payload: Uint8Array): FdbState => {
  const attributes = parseAttributes(payload, NDMSG_BYTES);
  const view = viewOf(payload);
  const entry: FdbState = {
    mac: formatMac(attributes.get(NDA_LLADDR) ?? new Uint8Array()),
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
  };
  const [dst, port] = [attributes.get(NDA_DST), attributes.get(NDA_PORT)];
  const [vni, via] = [readU32(attributes.get(NDA_VNI)), readU32(attributes.get(NDA_IFINDEX))];
  if (dst !== undefined) entry.dst = formatAddressBytes(dst);
  if (port !== undefined) entry.port = viewOf(port).getUint16(0);
  if (vni !== undefined) entry.vni = vni;
  if (via !== undefined) entry.via = via;
  return entry;
};

const AF_INET = 2;
const AF_BRIDGE = 7;
const AF_INET6 = 10;
const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_PORT = 6;
const NDA_VNI = 7;
const NDA_IFINDEX = 8;
