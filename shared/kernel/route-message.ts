import { formatAddressBytes } from './address-math.ts';
import {
  type Attributes,
  encodeAttribute,
  encodeU32,
  nested,
  parseAttributes,
  readU32,
  viewOf,
} from './netlink-message.ts';

/** A route; of a multipath route there is one for each of its next hops. */
export interface RouteState {
  /** Absent for a unicast route, which is all that is read unless `discarding` is asked for. */
  type?: DiscardingType;
  /** Canonical: `10.1.0.0/16`, `0.0.0.0/0`, `::/0`. */
  dst: string;
  /** May be IPv6 on an IPv4 route (RFC 5549). */
  gateway?: string;
  linkIndex?: number;
  priority?: number;
  /** 254 is main, 255 local. */
  table: number;
  /** 0 global, 253 link, 254 host; IPv6 knows only 0. */
  scope: number;
  mtu?: number;
  advmss?: number;
  /** Who made it: 2 kernel, 3 boot (what `ip` says by default), 4 static. */
  protocol: number;
  onlink: boolean;
  src?: string;
  /** IPv4: only packets with this type of service take it; absent: all. */
  tos?: number;
  /** Of a multipath route how many next hops it has. */
  hops?: number;
}

/** Routes that lead nowhere. */
export type DiscardingType = 'blackhole' | 'unreachable' | 'prohibit' | 'throw';

export interface RouteFilter {
  /** Tells of routes that lead nowhere, too. */
  discarding?: boolean;
  linkIndex?: number;
  table?: number;
  protocol?: number;
  /** Leaves out those of this protocol, which costs less than to read them. */
  exceptProtocol?: number;
}

export const RTM_GETROUTE = 26;

/** The parts of an RTM_GETROUTE dump request. */
export const routeQueryParts = (
  family: 4 | 6,
  { linkIndex, table, protocol, discarding }: RouteFilter,
): Uint8Array[] => {
  const rtmsg = new Uint8Array(RTMSG_BYTES);
  rtmsg[0] = family === 4 ? AF_INET : AF_INET6;
  if (protocol !== undefined) rtmsg[5] = protocol;
  // The kernel gives those of this type, or with 0 of any.
  if (!discarding) rtmsg[7] = RTN_UNICAST;
  const parts: Uint8Array[] = [rtmsg];
  if (linkIndex !== undefined) parts.push(encodeAttribute(RTA_OIF, encodeU32(linkIndex)));
  if (table !== undefined) parts.push(encodeAttribute(RTA_TABLE, encodeU32(table)));
  return parts;
};

/** The protocol of a route, from the payload of an RTM_NEWROUTE message. */
export const protocolOf = (payload: Uint8Array): number | undefined => payload[5];

/**
 * Reads the payload of an RTM_NEWROUTE message: none when it is no unicast route (local, broadcast, and
 * without `discarding` blackhole, …) or only a cached one. Throws RangeError when it is malformed.
 */
export const parseRoutes = (payload: Uint8Array, discarding = false): RouteState[] => {
  const attributes = parseAttributes(payload, RTMSG_BYTES);
  const view = viewOf(payload);
  const flags = view.getUint32(8, true);
  const type = discarding ? discardingTypes[view.getUint8(7)] : undefined;
  if ((view.getUint8(7) !== RTN_UNICAST && type === undefined) || flags & RTM_F_CLONED) return [];
  const family = view.getUint8(0) === AF_INET ? 4 : 6;
  const dst = attributes.get(RTA_DST) ?? new Uint8Array(family === 4 ? 4 : 16);
  const metrics = nested(attributes.get(RTA_METRICS));
  const common = {
    dst: `${textOf(family, dst)}/${view.getUint8(1)}`,
    table: readU32(attributes.get(RTA_TABLE)) ?? view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    ...optional('type', type),
    ...optional('priority', readU32(attributes.get(RTA_PRIORITY))),
    ...optional('mtu', readU32(metrics.get(RTAX_MTU))),
    ...optional('advmss', readU32(metrics.get(RTAX_ADVMSS))),
    ...optional('src', optionalText(family, attributes.get(RTA_PREFSRC))),
    ...optional('tos', view.getUint8(3) || undefined),
  };
  const hops = attributes.get(RTA_MULTIPATH);
  if (hops !== undefined) {
    return parseHops(family, hops).map((hop, _, all) => ({ ...common, ...hop, hops: all.length }));
  }
  return [{ ...common, ...hopOf(family, attributes, flags, readU32(attributes.get(RTA_OIF))) }];
};

type Hop = Pick<RouteState, 'gateway' | 'linkIndex' | 'onlink'>;

/** RTA_MULTIPATH: structs rtnexthop (length, flags, weight, interface), each with attributes. */
const parseHops = (family: 4 | 6, bytes: Uint8Array): Hop[] => {
  const hops: Hop[] = [];
  const view = viewOf(bytes);
  for (let offset = 0; offset < bytes.length; ) {
    const length = offset + RTNEXTHOP_BYTES <= bytes.length ? view.getUint16(offset, true) : 0;
    if (length < RTNEXTHOP_BYTES || offset + length > bytes.length) {
      throw new RangeError('netlink: a next hop is cut off');
    }
    const attributes = parseAttributes(bytes.subarray(offset, offset + length), RTNEXTHOP_BYTES);
    hops.push(hopOf(family, attributes, view.getUint8(offset + 2), view.getUint32(offset + 4, true)));
    offset += (length + 3) & ~3;
  }
  return hops;
};

const hopOf = (family: 4 | 6, attributes: Attributes, flags: number, linkIndex: number | undefined): Hop => ({
  ...optional('gateway', optionalText(family, attributes.get(RTA_GATEWAY)) ?? viaOf(attributes.get(RTA_VIA))),
  ...optional('linkIndex', linkIndex),
  onlink: (flags & RTNH_F_ONLINK) !== 0,
});

const textOf = (family: 4 | 6, bytes: Uint8Array): string => {
  if (bytes.length !== (family === 4 ? 4 : 16))
    throw new RangeError('netlink: an address has a wrong length');
  return formatAddressBytes(bytes);
};

const optionalText = (family: 4 | 6, bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : textOf(family, bytes);

/** RTA_VIA: a family, then an address of it. */
const viaOf = (bytes: Uint8Array | undefined): string | undefined => {
  if (bytes === undefined) return undefined;
  return textOf(viewOf(bytes).getUint16(0, true) === AF_INET ? 4 : 6, bytes.subarray(2));
};

const optional = <K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]?: T });

const AF_INET = 2;
const AF_INET6 = 10;
const RTMSG_BYTES = 12;
const RTNEXTHOP_BYTES = 8;
const RTN_UNICAST = 1;
const discardingTypes: Record<number, DiscardingType> = {
  6: 'blackhole',
  7: 'unreachable',
  8: 'prohibit',
  9: 'throw',
};
const RTM_F_CLONED = 0x200;
const RTNH_F_ONLINK = 4;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;
