import { addressOf } from './address.ts';
import { formatAddress } from './address-math.ts';
import { SystemError } from './libc.ts';
import { queryRoute } from './netlink.ts';
import { parseAttributes, readU32, viewOf } from './netlink-message.ts';

/** A routing policy rule. */
export interface RuleState {
  priority: number;
  /** The table it looks into; 0 when it does something else. */
  table: number;
  /** The source it is for, in CIDR notation; absent for all. */
  src?: string;
}

/**
 * The rules of a family in the netns of the calling thread, in order of priority; undefined when the
 * kernel has no rules (CONFIG_IP_MULTIPLE_TABLES).
 */
export const readRules = (family: 4 | 6): RuleState[] | undefined => {
  const header = new Uint8Array(FIB_RULE_HDR_BYTES);
  header[0] = family === 4 ? AF_INET : AF_INET6;
  try {
    const answers = queryRoute({ type: RTM_GETRULE, parts: [header], dump: true });
    return answers.filter((answer) => answer[0] === header[0]).map(parseRule);
  } catch (error) {
    if (error instanceof SystemError && UNSUPPORTED.has(error.code)) return undefined;
    throw error;
  }
};

/** Reads the payload of an RTM_NEWRULE message. Throws RangeError when it is malformed. */
export const parseRule = (payload: Uint8Array): RuleState => {
  const attributes = parseAttributes(payload, FIB_RULE_HDR_BYTES);
  const view = viewOf(payload);
  const rule: RuleState = {
    priority: readU32(attributes.get(FRA_PRIORITY)) ?? 0,
    table: readU32(attributes.get(FRA_TABLE)) ?? view.getUint8(4),
  };
  const src = attributes.get(FRA_SRC);
  if (src === undefined) return rule;
  const family = view.getUint8(0) === AF_INET ? 4 : 6;
  return { ...rule, src: `${formatAddress(addressOf(family, src))}/${view.getUint8(2)}` };
};

/** EAFNOSUPPORT: the kernel has no such family; EOPNOTSUPP: it has no rules. */
const UNSUPPORTED = new Set(['EOPNOTSUPP', 'EAFNOSUPPORT']);
const AF_INET = 2;
const AF_INET6 = 10;
const RTM_GETRULE = 34;
const FIB_RULE_HDR_BYTES = 12;
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
