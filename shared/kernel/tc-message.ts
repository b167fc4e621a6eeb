import { type Attributes, nested, parseAttributes, readText, readU32, viewOf } from './netlink-message.ts';

/** A queueing discipline of an interface. */
export interface QdiscState {
  /** `tbf`, `htb`, `ingress`, `noqueue`, … */
  kind: string;
  /** Major number in the upper 16 bits; 0 for what the kernel gave the interface by itself. */
  handle: number;
  parent: number;
  tbf?: { rate: number; limit: number; bufferTicks: number };
  htb?: { defaultClass: number };
  /** Of `bfifo` in bytes, of `pfifo` in packets. */
  limit?: number;
}

/** A class of an `htb` queueing discipline: rates in bytes per second, buffers in ticks of 64 ns. */
export interface ClassState {
  handle: number;
  rate: number;
  ceil: number;
  bufferTicks: number;
}

/** 32 bits of a packet, from an offset behind the link header on. */
export interface U32Key {
  value: number;
  mask: number;
  offset: number;
}

/** One filter; of a `u32` classifier its rules, not its hash tables. */
export interface FilterState {
  kind: string;
  priority: number;
  /** EtherType. */
  protocol: number;
  classId?: number;
  keys: U32Key[];
  /** Index of the interface that it redirects to. */
  redirectsTo?: number;
}

export const RTM_GETQDISC = 38;
export const RTM_GETTCLASS = 42;
export const RTM_GETTFILTER = 46;

/** The handles of rtnetlink's `tcm_parent` for what is at an interface itself. */
export const TC_H_ROOT = 0xffff_ffff;
export const TC_H_INGRESS = 0xffff_fff1;

/** The struct tcmsg of a request. */
export const tcmsg = (linkIndex: number, parent = 0): Uint8Array => {
  const bytes = new Uint8Array(TCMSG_BYTES);
  const view = viewOf(bytes);
  view.setInt32(4, linkIndex, true);
  view.setUint32(12, parent, true);
  return bytes;
};

/** Reads the payload of an RTM_NEWQDISC message. Throws RangeError when it is malformed. */
export const parseQdisc = (payload: Uint8Array): QdiscState => {
  const { attributes, handle, parent } = parseTcMessage(payload);
  const kind = readText(attributes.get(TCA_KIND)) ?? '';
  const options = attributes.get(TCA_OPTIONS);
  const qdisc: QdiscState = { kind, handle, parent };
  if (kind === 'tbf') qdisc.tbf = parseTbf(nested(options));
  if (kind === 'htb') {
    qdisc.htb = { defaultClass: viewOf(required(nested(options), TCA_HTB_INIT)).getUint32(8, true) };
  }
  if (kind === 'bfifo' || kind === 'pfifo') qdisc.limit = readU32(options) ?? 0;
  return qdisc;
};

/** Reads the payload of an RTM_NEWTCLASS message; undefined for a class of anything but `htb`. */
export const parseClass = (payload: Uint8Array): ClassState | undefined => {
  const { attributes, handle } = parseTcMessage(payload);
  if (readText(attributes.get(TCA_KIND)) !== 'htb') return undefined;
  const options = nested(attributes.get(TCA_OPTIONS));
  const view = viewOf(required(options, TCA_HTB_PARMS));
  return {
    handle,
    rate: rateOf(view, 0, options.get(TCA_HTB_RATE64)),
    ceil: rateOf(view, RATESPEC_BYTES, options.get(TCA_HTB_CEIL64)),
    bufferTicks: view.getUint32(2 * RATESPEC_BYTES, true),
  };
};

/** Reads the payload of an RTM_NEWTFILTER message; undefined for a classifier's frame and hash tables. */
export const parseFilter = (payload: Uint8Array): FilterState | undefined => {
  const { attributes, handle, info } = parseTcMessage(payload);
  const kind = readText(attributes.get(TCA_KIND)) ?? '';
  const options = nested(attributes.get(TCA_OPTIONS));
  // Each priority begins with a message that has no handle, and of u32 with one for each hash table.
  if (handle === 0 || options.has(TCA_U32_DIVISOR)) return undefined;
  const filter: FilterState = {
    kind,
    priority: info >>> 16,
    protocol: ((info & 0xff) << 8) | ((info >> 8) & 0xff),
    keys: kind === 'u32' ? parseKeys(options.get(TCA_U32_SEL)) : [],
  };
  if (kind !== 'u32') return filter;
  const classId = readU32(options.get(TCA_U32_CLASSID));
  if (classId !== undefined) filter.classId = classId;
  const redirectsTo = redirectTarget(options.get(TCA_U32_ACT));
  if (redirectsTo !== undefined) filter.redirectsTo = redirectsTo;
  return filter;
};

const parseTcMessage = (payload: Uint8Array) => {
  const attributes = parseAttributes(payload, TCMSG_BYTES);
  const view = viewOf(payload);
  return {
    attributes,
    handle: view.getUint32(8, true),
    parent: view.getUint32(12, true),
    info: view.getUint32(16, true),
  };
};

/** struct tc_tbf_qopt: rate, peak rate, limit, buffer, mtu. */
const parseTbf = (options: Attributes): NonNullable<QdiscState['tbf']> => {
  const view = viewOf(required(options, TCA_TBF_PARMS));
  return {
    rate: rateOf(view, 0, options.get(TCA_TBF_RATE64)),
    limit: view.getUint32(2 * RATESPEC_BYTES, true),
    bufferTicks: view.getUint32(2 * RATESPEC_BYTES + 4, true),
  };
};

/** The rate of a struct tc_ratespec; one that does not fit into its 32 bits is in an attribute of its own. */
const rateOf = (view: DataView, offset: number, rate64: Uint8Array | undefined): number =>
  rate64 === undefined ? view.getUint32(offset + 8, true) : Number(viewOf(rate64).getBigUint64(0, true));

/** struct tc_u32_sel: the number of keys is its third byte; the keys follow it, masks and values in network order. */
const parseKeys = (bytes: Uint8Array | undefined): U32Key[] => {
  if (bytes === undefined) return [];
  const view = viewOf(bytes);
  return Array.from({ length: view.getUint8(2) }, (_, index) => {
    const at = U32_SEL_BYTES + index * U32_KEY_BYTES;
    return { mask: view.getUint32(at), value: view.getUint32(at + 4), offset: view.getInt32(at + 8, true) };
  });
};

/** Of the first action, when it is mirred's redirect. struct tc_mirred ends with what it does and to whom. */
const redirectTarget = (actions: Uint8Array | undefined): number | undefined => {
  const action = nested(nested(actions).get(1));
  if (readText(action.get(TCA_ACT_KIND)) !== 'mirred') return undefined;
  const parameters = nested(action.get(TCA_ACT_OPTIONS)).get(TCA_MIRRED_PARMS);
  if (parameters === undefined) return undefined;
  const view = viewOf(parameters);
  return view.getInt32(20, true) === TCA_EGRESS_REDIR ? view.getUint32(24, true) : undefined;
};

const required = (attributes: Attributes, type: number): Uint8Array => {
  const value = attributes.get(type);
  if (value === undefined) throw new RangeError('netlink: a traffic control message lacks its parameters');
  return value;
};

const TCMSG_BYTES = 20;
const RATESPEC_BYTES = 12;
const U32_SEL_BYTES = 16;
const U32_KEY_BYTES = 16;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_HTB_PARMS = 1;
const TCA_HTB_INIT = 2;
const TCA_HTB_RATE64 = 6;
const TCA_HTB_CEIL64 = 7;
const TCA_U32_CLASSID = 1;
const TCA_U32_DIVISOR = 4;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TCA_EGRESS_REDIR = 1;
