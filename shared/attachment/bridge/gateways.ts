import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { IpConfig } from '../../cni/types.ts';
import type { AddressState } from '../../kernel/address.ts';
import { contains, firstHostOf, formatAddress, parseCidr } from '../../kernel/address-math.ts';
import { SCOPE_LINK } from '../../kernel/route.ts';
import { sameCidr } from '../address-compare.ts';

/** An address that the bridge must have, because it is a pod's gateway. */
export interface Gateway {
  family: 4 | 6;
  /** With the prefix length of the pod's subnet: `10.1.0.1/16`. */
  cidr: string;
}

/** The pod's addresses with a gateway each: the IPAM's own choice, else the subnet's first address. */
export const withGateways = (ips: IpConfig[]): IpConfig[] =>
  ips.map((ip) => {
    if (ip.gateway !== undefined) return ip;
    const subnet = parseCidr(ip.address);
    return subnet === undefined ? ip : { ...ip, gateway: formatAddress(firstHostOf(subnet)) };
  });

/** The bridge's addresses for these pod addresses, each once. */
export const gatewaysOf = (ips: IpConfig[]): Gateway[] => {
  const gateways = new Map<string, Gateway>();
  for (const { address, gateway } of ips) {
    if (gateway === undefined) continue;
    const cidr = `${gateway}${address.slice(address.indexOf('/'))}`;
    gateways.set(cidr, { family: gateway.includes(':') ? 6 : 4, cidr });
  }
  return [...gateways.values()];
};

export interface AddressChange {
  add: string[];
  remove: string[];
}

/**
 * What must change for `device` to have these gateway addresses. It keeps one IPv4 address, and IPv6
 * addresses whose subnets do not overlap, as in the reference; one in the way is replaced only with
 * forceAddress. Throws CniError 103 otherwise.
 */
export const gatewayChanges = (
  device: string,
  gateways: Gateway[],
  present: AddressState[],
  forceAddress: boolean,
): AddressChange => {
  const change: AddressChange = { add: [], remove: [] };
  for (const { family, cidr } of gateways) {
    const existing = present.filter((address) => address.family === family);
    if (existing.some((other) => sameCidr(cidrOf(other), cidr))) continue;
    // The kernel gives every device a link-local address of its own.
    const others = existing.filter(({ scope }) => family === 4 || scope !== SCOPE_LINK).map(cidrOf);
    const inTheWay = others.filter(
      (other) =>
        !gateways.some((gateway) => sameCidr(gateway.cidr, other)) && (family === 4 || overlap(cidr, other)),
    );
    if (inTheWay.length > 0 && !forceAddress) throw addressConflict(device, cidr, inTheWay);
    change.remove.push(...inTheWay);
    change.add.push(cidr);
  }
  return change;
};

const cidrOf = ({ address, prefixLength }: AddressState): string => `${address}/${prefixLength}`;

const overlap = (first: string, second: string): boolean => {
  const a = parseCidr(first);
  const b = parseCidr(second);
  if (a === undefined || b === undefined) return false;
  return contains(a, b) || contains(b, a);
};

const addressConflict = (device: string, wanted: string, present: string[]): CniError =>
  new CniError(
    ErrorCode.conflict,
    `"${device}" already has the address ${present.join(', ')}, not ${wanted}`,
    {
      details:
        'Set "forceAddress": true to replace it, or use a subnet and gateway that match, or another bridge.',
    },
  );
