import {
  encodeAttribute,
  encodeMessage,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  nested,
  parseAttributes,
  readText,
  viewOf,
} from './netlink-message.ts';

/** nf_tables' netlink messages as bytes (linux/netfilter/nf_tables.h), apart from any socket. */

export type NftFamily = 'inet' | 'ip' | 'ip6' | 'bridge';

export interface NftElementState {
  /** As the kernel keeps it: concatenated parts are padded to 4 bytes each. */
  key: Uint8Array;
  /** The chain that the verdict of a verdict map jumps to; `''` for another verdict. */
  jump?: string;
  /** What the key of a map to data leads to; concatenated parts are padded like those of keys. */
  data?: Uint8Array;
  /** `''` when it has none. */
  comment: string;
  /** In a set of intervals: the first key behind one. */
  intervalEnd?: true;
}

export interface NftChainState {
  name: string;
  handle: bigint;
  /** Netfilter's number of the hook, absent for a chain that is only jumped to. */
  hook?: number;
  priority?: number;
  /** What a base chain does with what none of its rules decided; absent for other chains. */
  policy?: 'accept' | 'drop';
}

export interface NftRuleState {
  handle: bigint;
  /** `''` when it has none. */
  comment: string;
}

export const encodeGetGeneration = (): Uint8Array => request(NFT_MSG_GETGEN, 'inet', 0);

export const encodeGetChain = (family: NftFamily, table: string, chain: string): Uint8Array =>
  request(NFT_MSG_GETCHAIN, family, 0, text(NFTA_CHAIN_TABLE, table), text(NFTA_CHAIN_NAME, chain));

/** All chains of a family: the kernel has no filter by table. */
export const encodeListChains = (family: NftFamily): Uint8Array =>
  request(NFT_MSG_GETCHAIN, family, NLM_F_DUMP);

export const encodeListRules = (family: NftFamily, table: string, chain: string): Uint8Array =>
  request(NFT_MSG_GETRULE, family, NLM_F_DUMP, text(NFTA_RULE_TABLE, table), text(NFTA_RULE_CHAIN, chain));

export const encodeGetElement = (
  family: NftFamily,
  table: string,
  set: string,
  key: Uint8Array,
): Uint8Array => {
  const element = nest(NFTA_LIST_ELEM, nest(NFTA_SET_ELEM_KEY, encodeAttribute(NFTA_DATA_VALUE, key)));
  return request(
    NFT_MSG_GETSETELEM,
    family,
    0,
    text(NFTA_SET_ELEM_LIST_TABLE, table),
    text(NFTA_SET_ELEM_LIST_SET, set),
    nest(NFTA_SET_ELEM_LIST_ELEMENTS, element),
  );
};

export const encodeListElements = (family: NftFamily, table: string, set: string): Uint8Array =>
  request(
    NFT_MSG_GETSETELEM,
    family,
    NLM_F_DUMP,
    text(NFTA_SET_ELEM_LIST_TABLE, table),
    text(NFTA_SET_ELEM_LIST_SET, set),
  );

/** A chain with the name of its table, from the payload of an NFT_MSG_NEWCHAIN message. */
export const parseChain = (payload: Uint8Array): NftChainState & { table: string } => {
  const attributes = parseAttributes(payload, NFGENMSG_BYTES);
  const hook = nested(attributes.get(NFTA_CHAIN_HOOK));
  return {
    table: readText(attributes.get(NFTA_CHAIN_TABLE)) ?? '',
    name: readText(attributes.get(NFTA_CHAIN_NAME)) ?? '',
    handle: readHandle(attributes.get(NFTA_CHAIN_HANDLE)),
    ...(hook.size === 0
      ? {}
      : {
          hook: readInteger(hook.get(NFTA_HOOK_HOOKNUM)),
          priority: readInteger(hook.get(NFTA_HOOK_PRIORITY)),
          policy: readInteger(attributes.get(NFTA_CHAIN_POLICY), NF_ACCEPT) === NF_DROP ? 'drop' : 'accept',
        }),
  };
};

/** A rule, from the payload of an NFT_MSG_NEWRULE message. */
export const parseRule = (payload: Uint8Array): NftRuleState => {
  const attributes = parseAttributes(payload, NFGENMSG_BYTES);
  return {
    handle: readHandle(attributes.get(NFTA_RULE_HANDLE)),
    comment: readComment(attributes.get(NFTA_RULE_USERDATA)),
  };
};

/** The elements in the payload of an NFT_MSG_NEWSETELEM message: a dump puts many in one. */
export const parseElements = (payload: Uint8Array): NftElementState[] =>
  items(parseAttributes(payload, NFGENMSG_BYTES).get(NFTA_SET_ELEM_LIST_ELEMENTS)).map((item) => {
    const attributes = parseAttributes(item);
    const value = nested(attributes.get(NFTA_SET_ELEM_DATA));
    const verdict = value.get(NFTA_DATA_VERDICT);
    const data = value.get(NFTA_DATA_VALUE);
    return {
      key: nested(attributes.get(NFTA_SET_ELEM_KEY)).get(NFTA_DATA_VALUE) ?? new Uint8Array(),
      ...(verdict === undefined ? {} : { jump: readJump(verdict) }),
      ...(data === undefined ? {} : { data }),
      comment: readComment(attributes.get(NFTA_SET_ELEM_USERDATA)),
      ...((readInteger(attributes.get(NFTA_SET_ELEM_FLAGS)) & NFT_SET_ELEM_INTERVAL_END) === 0
        ? {}
        : { intervalEnd: true }),
    };
  });

const NFNL_SUBSYS_NFTABLES = 10 << 8;
const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_GETRULE = 7;
const NFT_MSG_GETSETELEM = 13;
const NFT_MSG_GETGEN = 16;

const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_HANDLE = 2;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NF_DROP = 0;
const NF_ACCEPT = 1;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_USERDATA = 7;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_FLAGS = 3;
const NFTA_SET_ELEM_USERDATA = 6;
const NFTA_LIST_ELEM = 1;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
const NFT_JUMP = -3;
const NFT_SET_ELEM_INTERVAL_END = 1;

const NLA_F_NESTED = 0x8000;

/** Netfilter's numbers of the families, which are not those of sockets. */
const NFPROTO = { inet: 1, ip: 2, bridge: 7, ip6: 10 } as const;
const NFGENMSG_BYTES = 4;

let sequence = 0;

const request = (type: number, family: NftFamily, flags: number, ...attributes: Uint8Array[]): Uint8Array => {
  sequence += 1;
  return encodeMessage(
    { type: NFNL_SUBSYS_NFTABLES | type, flags: NLM_F_REQUEST | flags, sequence },
    new Uint8Array([NFPROTO[family], 0, 0, 0]),
    ...attributes,
  );
};

const text = (type: number, value: string): Uint8Array =>
  encodeAttribute(type, new TextEncoder().encode(`${value}\0`));

const nest = (type: number, attribute: Uint8Array): Uint8Array => {
  const padded = new Uint8Array((attribute.length + 3) & ~3);
  padded.set(attribute);
  return encodeAttribute(type | NLA_F_NESTED, padded);
};

/** The values of a list, whose attributes all have the same type. */
const items = (list: Uint8Array | undefined): Uint8Array[] => {
  const values: Uint8Array[] = [];
  if (list === undefined) return values;
  const view = viewOf(list);
  for (let at = 0; at + 4 <= list.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > list.length) throw new RangeError('netlink: a list item is cut off');
    values.push(list.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return values;
};

/** nf_tables' integers are in network byte order. */
const readInteger = (value: Uint8Array | undefined, absent = 0): number =>
  value === undefined ? absent : viewOf(value).getInt32(0);

const readHandle = (value: Uint8Array | undefined): bigint =>
  value === undefined ? 0n : viewOf(value).getBigUint64(0);

const readJump = (verdict: Uint8Array): string => {
  const attributes = parseAttributes(verdict);
  if (readInteger(attributes.get(NFTA_VERDICT_CODE)) !== NFT_JUMP) return '';
  return readText(attributes.get(NFTA_VERDICT_CHAIN)) ?? '';
};

/** User data is nft's own: type, length, value; type 0 is the comment of rules and elements alike. */
const readComment = (userdata: Uint8Array | undefined): string => {
  for (let at = 0; userdata !== undefined && at + 2 <= userdata.length; ) {
    const [type, length = 0] = userdata.subarray(at, at + 2);
    if (type === 0) return readText(userdata.subarray(at + 2, at + 2 + length)) ?? '';
    at += 2 + length;
  }
  return '';
};
