import {
  encodeAttribute,
  encodeMessage,
  encodeU32,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  nested,
  parseAttributes,
  readU8,
  viewOf,
} from './netlink-message.ts';

/** conntrack's netlink messages as bytes (linux/netfilter/nfnetlink_conntrack.h), apart from any socket. */

/** One tracked connection, as far as a port mapping is concerned. */
export interface Flow {
  family: 4 | 6;
  /** The packets' destination before any NAT: address, IP protocol and port. */
  destination: Uint8Array;
  protocol: number;
  port: number;
  /** Who answers: the destination after NAT. */
  responder: Uint8Array;
  /** The attributes by which the kernel finds it again. */
  identity: Uint8Array[];
}

export interface FlowFilter {
  family: 4 | 6;
  protocol: number;
  /** Undefined: all ports. */
  port: number | undefined;
}

/**
 * Lists flows of one protocol, to one port. From Linux 5.8 on the kernel filters; before, it takes no
 * notice and sends them all.
 */
export const encodeListFlows = ({ family, protocol, port }: FlowFilter): Uint8Array => {
  const protocolPart = [encodeAttribute(CTA_PROTO_NUM, Uint8Array.of(protocol))];
  let flags = FILTER_PROTO_NUM;
  if (port !== undefined) {
    protocolPart.push(encodeAttribute(CTA_PROTO_DST_PORT, Uint8Array.of(port >> 8, port & 0xff)));
    flags |= FILTER_DST_PORT;
  }
  return request(
    IPCTNL_MSG_CT_GET,
    family,
    NLM_F_DUMP,
    nest(CTA_TUPLE_ORIG, nest(CTA_TUPLE_PROTO, ...protocolPart)),
    nest(CTA_FILTER, encodeAttribute(CTA_FILTER_ORIG_FLAGS, encodeU32(flags))),
  );
};

/** Deletes exactly this flow; ENOENT when it is gone. */
export const encodeDeleteFlow = ({ family, identity }: Flow): Uint8Array =>
  request(IPCTNL_MSG_CT_DELETE, family, NLM_F_ACK, ...identity);

/** Reads the payload of an IPCTNL_MSG_CT_NEW message; undefined for a protocol without ports. */
export const parseFlow = (payload: Uint8Array): Flow | undefined => {
  const family = payload[0] === AF_INET ? 4 : 6;
  const attributes = parseAttributes(payload, NFGENMSG_BYTES);
  const original = nested(attributes.get(CTA_TUPLE_ORIG));
  const protocolPart = nested(original.get(CTA_TUPLE_PROTO));
  const replySource = family === 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
  const destination = nested(original.get(CTA_TUPLE_IP)).get(replySource + 1);
  const responder = nested(nested(attributes.get(CTA_TUPLE_REPLY)).get(CTA_TUPLE_IP)).get(replySource);
  const port = protocolPart.get(CTA_PROTO_DST_PORT);
  const protocol = readU8(protocolPart.get(CTA_PROTO_NUM));
  if (destination === undefined || responder === undefined || port === undefined || protocol === undefined)
    return undefined;
  return {
    family,
    destination,
    protocol,
    port: viewOf(port).getUint16(0),
    responder,
    identity: IDENTITY.flatMap(([type, flag]) => {
      const value = attributes.get(type);
      return value === undefined ? [] : [padded(encodeAttribute(type | flag, value))];
    }),
  };
};

const NFNL_SUBSYS_CTNETLINK = 1 << 8;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const NLA_F_NESTED = 0x8000;
const AF_INET = 2;
const AF_INET6 = 10;
const NFGENMSG_BYTES = 4;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
/** The destinations' numbers are one more. */
const CTA_IP_V4_SRC = 1;
const CTA_IP_V6_SRC = 3;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
const CTA_FILTER_ORIG_FLAGS = 1;
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_DST_PORT = 1 << 5;

const IDENTITY = [
  [CTA_TUPLE_ORIG, NLA_F_NESTED],
  [CTA_ZONE, 0],
  [CTA_ID, 0],
] as const;

let sequence = 0;

const request = (type: number, family: 4 | 6, flags: number, ...attributes: Uint8Array[]): Uint8Array => {
  sequence += 1;
  return encodeMessage(
    { type: NFNL_SUBSYS_CTNETLINK | type, flags: NLM_F_REQUEST | flags, sequence },
    Uint8Array.of(family === 4 ? AF_INET : AF_INET6, 0, 0, 0),
    ...attributes,
  );
};

const nest = (type: number, ...attributes: Uint8Array[]): Uint8Array => {
  const parts = attributes.map(padded);
  const content = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    content.set(part, offset);
    offset += part.length;
  }
  return encodeAttribute(type | NLA_F_NESTED, content);
};

const padded = (attribute: Uint8Array): Uint8Array => {
  const whole = new Uint8Array((attribute.length + 3) & ~3);
  whole.set(attribute);
  return whole;
};
