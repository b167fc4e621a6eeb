import { type Address, formatAddress } from './address-math.ts';
import { SystemError } from './libc.ts';
import { queryRoute } from './netlink.ts';
import { parseAttributes, readU32, viewOf } from './netlink-message.ts';

/** An address of an interface. */
export interface AddressState {
  /** Canonical text, without prefix length. */
  address: string;
  prefixLength: number;
  family: 4 | 6;
  /** 0 global, 253 link, 254 host. */
  scope: number;
  /** IPv6: not usable yet, duplicate address detection is under way or has failed. */
  tentative: boolean;
  /** IPv6: someone else has it. */
  dadFailed: boolean;
  /** Without a lifetime: neither from DHCP nor from router advertisements. */
  permanent: boolean;
  /** IPv6: its preferred lifetime is over. */
  deprecated: boolean;
  /** Of IPv6 a temporary address (RFC 8981), of IPv4 a further one of the same subnet. */
  secondary: boolean;
  /** The far end of a point-to-point address. */
  peer?: string;
}

/** The addresses of an interface in the netns of the calling thread; none when it does not exist. */
export const readAddresses = (linkIndex: number): AddressState[] => {
  const ifaddrmsg = new Uint8Array(IFADDRMSG_BYTES);
  viewOf(ifaddrmsg).setUint32(4, linkIndex, true);
  try {
    const answers = queryRoute({ type: RTM_GETADDR, parts: [ifaddrmsg], dump: true });
    // Kernels before 4.20 list those of all interfaces.
    return answers.filter((answer) => linkIndexOf(answer) === linkIndex).map(parseAddressMessage);
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENODEV') return [];
    throw error;
  }
};

/** The addresses of all interfaces in the netns of the calling thread, each with its interface's index. */
export const listAddresses = (): (AddressState & { linkIndex: number })[] =>
  queryRoute({ type: RTM_GETADDR, parts: [new Uint8Array(IFADDRMSG_BYTES)], dump: true }).map((answer) => ({
    ...parseAddressMessage(answer),
    linkIndex: linkIndexOf(answer),
  }));

/** Reads the payload of an RTM_NEWADDR message. Throws RangeError when it is malformed. */
export const parseAddressMessage = (payload: Uint8Array): AddressState => {
  const attributes = parseAttributes(payload, IFADDRMSG_BYTES);
  const view = viewOf(payload);
  const family = view.getUint8(0) === AF_INET ? 4 : 6;
  // The header holds only the low 8 flags.
  const flags = readU32(attributes.get(IFA_FLAGS)) ?? view.getUint8(2);
  // On a point-to-point address IFA_ADDRESS is the far end; else both are the same, or one is absent.
  const near = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  const far = attributes.get(IFA_ADDRESS) ?? near;
  if (near === undefined || far === undefined)
    throw new RangeError('netlink: an address message has no address');
  const address = formatAddress(addressOf(family, near));
  const peer = formatAddress(addressOf(family, far));
  return {
    address,
    prefixLength: view.getUint8(1),
    family,
    scope: view.getUint8(3),
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F_DADFAILED) !== 0,
    permanent: (flags & IFA_F_PERMANENT) !== 0,
    deprecated: (flags & IFA_F_DEPRECATED) !== 0,
    secondary: (flags & IFA_F_SECONDARY) !== 0,
    ...(peer === address ? {} : { peer }),
  };
};

/** An address from its bytes in network order. Throws RangeError when their number is wrong. */
export const addressOf = (family: 4 | 6, bytes: Uint8Array): Address => {
  if (bytes.length !== (family === 4 ? 4 : 16))
    throw new RangeError('netlink: an address has a wrong length');
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return { family, value };
};

const linkIndexOf = (payload: Uint8Array): number => viewOf(payload).getUint32(4, true);

const RTM_GETADDR = 22;
const IFADDRMSG_BYTES = 8;
const AF_INET = 2;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_SECONDARY = 0x01;
const IFA_F_DADFAILED = 0x08;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_PERMANENT = 0x80;
