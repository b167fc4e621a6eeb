import { SystemError } from './libc.ts';
import { queryRoute } from './netlink.ts';
import { encodeAttribute, encodeU32 } from './netlink-message.ts';
import { TC_H_ROOT, tcmsg } from './tc-message.ts';

/**
 * Whether the kernel has a queueing discipline that cannot do without options, such as `tbf` and `htb`
 * (also as a module, which this loads). Asked by adding one to `lo` without them: the kernel looks the
 * kind up first (ENOENT), and then refuses the rest (EINVAL), so that nothing is ever made.
 */
export const kernelHasQdisc = (kind: string): boolean =>
  isRefusedFor('ENOENT', RTM_NEWQDISC, [tcmsg(LOOPBACK, TC_H_ROOT), encodeAttribute(TCA_KIND, text(kind))]);

/**
 * Whether the kernel has a type of network device, such as `ifb`. Asked as `kernelHasQdisc` does, for a
 * device with no transmit queue at all, of which there can be none.
 */
export const kernelHasLinkKind = (kind: string): boolean =>
  isRefusedFor('EOPNOTSUPP', RTM_NEWLINK, [
    new Uint8Array(IFINFOMSG_BYTES),
    encodeAttribute(IFLA_NUM_TX_QUEUES, encodeU32(0)),
    encodeAttribute(IFLA_LINKINFO, encodeAttribute(IFLA_INFO_KIND, text(kind))),
  ]);

/** False when the kernel refuses for this very reason; a caller without the right to ask is not told. */
const isRefusedFor = (lacking: string, type: number, parts: Uint8Array[]): boolean => {
  try {
    queryRoute({ type, parts, dump: false, create: true });
  } catch (error) {
    if (error instanceof SystemError) return error.code !== lacking;
    throw error;
  }
  return true;
};

const text = (word: string): Uint8Array => new TextEncoder().encode(`${word}\0`);

const LOOPBACK = 1;
const RTM_NEWLINK = 16;
const RTM_NEWQDISC = 36;
const TCA_KIND = 1;
const IFINFOMSG_BYTES = 16;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_NUM_TX_QUEUES = 31;
