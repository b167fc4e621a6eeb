import { addressOf } from './address.ts';
import { formatAddress } from './address-math.ts';
import { formatMac } from './mac.ts';
import {
  type Attributes,
  encodeAttribute,
  encodeU32,
  nested,
  parseAttributes,
  readText,
  readU8,
  readU32,
  viewOf,
} from './netlink-message.ts';

/** A network interface as the kernel describes it. */
export interface LinkState {
  index: number;
  name: string;
  /** `bridge`, `veth`, `vxlan`, …; absent for a physical device and `lo`. */
  kind?: string;
  mac: string;
  mtu: number;
  /** Administratively up. */
  up: boolean;
  /** Has a carrier. */
  lowerUp: boolean;
  /** How many times promiscuous mode was asked for; 0 is off. */
  promiscuity: number;
  /** IFF_PROMISC and IFF_ALLMULTI, as they were set for the interface itself. */
  promiscuous: boolean;
  allMulticast: boolean;
  /** Packets. */
  txQueueLength: number;
  /** RFC 2863: `unknown`, `down`, `lowerlayerdown`, `dormant`, `up`, … */
  operstate: string;
  /** Index of the bridge (or bond, or vrf) it is a port of. */
  master?: number;
  /** IFLA_LINK: of a veth its peer's index, in the peer's netns. */
  peerIndex?: number;
  alias?: string;
  /** Of a bridge's port. State: 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking. */
  port?: { state: number; hairpin: boolean; isolated: boolean };
  bridge?: { vlanFiltering: boolean };
  vxlan?: VxlanState;
}

/** What is special about a VXLAN device. */
export interface VxlanState {
  vni: number;
  /** UDP port that it receives on and sends to. */
  port: number;
  /** What it sends from; absent when the kernel chooses. */
  local?: string;
  /** Learns from what it receives behind which address a MAC is. */
  learning: boolean;
  /** Index of the device it is bound to. */
  boundTo?: number;
  /** Has no VNI and no destination of its own: packets say where they go (`external`). */
  external: boolean;
}

export const RTM_GETLINK = 18;

/** The parts of an RTM_GETLINK request: one interface by name or index, or all of them. */
export const linkQueryParts = (selector?: string | number): Uint8Array[] => {
  const ifinfomsg = new Uint8Array(IFINFOMSG_BYTES);
  if (typeof selector === 'number') viewOf(ifinfomsg).setInt32(4, selector, true);
  const parts = [ifinfomsg, encodeAttribute(IFLA_EXT_MASK, encodeU32(RTEXT_FILTER_SKIP_STATS))];
  if (typeof selector === 'string')
    parts.push(encodeAttribute(IFLA_IFNAME, new TextEncoder().encode(`${selector}\0`)));
  return parts;
};

/** Reads the payload of an RTM_NEWLINK message. Throws RangeError when it is malformed. */
export const parseLink = (payload: Uint8Array): LinkState => {
  const attributes = parseAttributes(payload, IFINFOMSG_BYTES);
  const view = viewOf(payload);
  const flags = view.getUint32(8, true);
  const info = nested(attributes.get(IFLA_LINKINFO));
  const link: LinkState = {
    index: view.getInt32(4, true),
    name: readText(attributes.get(IFLA_IFNAME)) ?? '',
    mac: formatMac(attributes.get(IFLA_ADDRESS) ?? new Uint8Array()),
    mtu: readU32(attributes.get(IFLA_MTU)) ?? 0,
    up: (flags & IFF_UP) !== 0,
    lowerUp: (flags & IFF_LOWER_UP) !== 0,
    promiscuity: readU32(attributes.get(IFLA_PROMISCUITY)) ?? 0,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    allMulticast: (flags & IFF_ALLMULTI) !== 0,
    txQueueLength: readU32(attributes.get(IFLA_TXQLEN)) ?? 0,
    operstate: OPERSTATES[readU8(attributes.get(IFLA_OPERSTATE)) ?? 0] ?? 'unknown',
  };
  const kind = readText(info.get(IFLA_INFO_KIND));
  if (kind !== undefined) link.kind = kind;
  const master = readU32(attributes.get(IFLA_MASTER));
  if (master !== undefined) link.master = master;
  const peerIndex = readU32(attributes.get(IFLA_LINK));
  if (peerIndex !== undefined) link.peerIndex = peerIndex;
  const alias = readText(attributes.get(IFLA_IFALIAS));
  if (alias !== undefined) link.alias = alias;
  if (readText(info.get(IFLA_INFO_SLAVE_KIND)) === 'bridge') link.port = parsePort(info);
  if (kind === 'bridge') link.bridge = parseBridge(info);
  if (kind === 'vxlan') link.vxlan = parseVxlan(info);
  return link;
};

const parsePort = (info: Attributes): NonNullable<LinkState['port']> => {
  const port = nested(info.get(IFLA_INFO_SLAVE_DATA));
  return {
    state: readU8(port.get(IFLA_BRPORT_STATE)) ?? 0,
    hairpin: readU8(port.get(IFLA_BRPORT_MODE)) === 1,
    isolated: readU8(port.get(IFLA_BRPORT_ISOLATED)) === 1,
  };
};

const parseBridge = (info: Attributes): NonNullable<LinkState['bridge']> => ({
  vlanFiltering: readU8(nested(info.get(IFLA_INFO_DATA)).get(IFLA_BR_VLAN_FILTERING)) === 1,
});

const parseVxlan = (info: Attributes): VxlanState => {
  const vxlan = nested(info.get(IFLA_INFO_DATA));
  const [local4, local6] = [vxlan.get(IFLA_VXLAN_LOCAL), vxlan.get(IFLA_VXLAN_LOCAL6)];
  const port = vxlan.get(IFLA_VXLAN_PORT);
  const boundTo = readU32(vxlan.get(IFLA_VXLAN_LINK));
  const state: VxlanState = {
    vni: readU32(vxlan.get(IFLA_VXLAN_ID)) ?? 0,
    // In network order.
    port: port === undefined ? 0 : viewOf(port).getUint16(0),
    learning: readU8(vxlan.get(IFLA_VXLAN_LEARNING)) === 1,
    external: readU8(vxlan.get(IFLA_VXLAN_COLLECT_METADATA)) === 1,
  };
  if (local4 !== undefined) state.local = formatAddress(addressOf(4, local4));
  if (local6 !== undefined) state.local = formatAddress(addressOf(6, local6));
  if (boundTo) state.boundTo = boundTo;
  return state;
};

const IFINFOMSG_BYTES = 16;
const IFF_UP = 0x1;
const IFF_PROMISC = 0x100;
const IFF_ALLMULTI = 0x200;
const IFF_LOWER_UP = 0x10000;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_EXT_MASK = 29;
const IFLA_PROMISCUITY = 30;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_COLLECT_METADATA = 25;
const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;

/** Leaves the counters out, the larger part of an answer. */
const RTEXT_FILTER_SKIP_STATS = 8;

const OPERSTATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'];
