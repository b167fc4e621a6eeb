import type { IpConfig } from '../../cni/types.ts';
import { firstHostOf, formatAddress, parseCidr } from '../../kernel/address-math.ts';
import { SCOPE_LINK } from '../../kernel/route.ts';
import { networkCidr } from '../address-compare.ts';
import type { PodRoute } from '../pod-batch.ts';

/** Gateways for pods whose IPAM has none and whose subnet leaves no room for one. */
const linkLocalGateway = { 4: '169.254.1.1', 6: 'fe80::1' } as const;

/**
 * The pod's addresses with a gateway each. The IPAM's choice, else the subnet's first address as with
 * the bridge; a pod that has this very address, or a single-address subnet, uses a link-local one. All
 * live on the host's end of the veth, so any number of pods share them, and nobody proxies ARP.
 */
export const withHostGateways = (ips: IpConfig[]): IpConfig[] =>
  ips.map((ip) => {
    if (ip.gateway !== undefined) return ip;
    const subnet = parseCidr(ip.address);
    if (subnet === undefined) return ip;
    const first = firstHostOf(subnet);
    const hasRoom = subnet.prefixLength < (subnet.family === 4 ? 31 : 127) && first.value !== subnet.value;
    return { ...ip, gateway: hasRoom ? formatAddress(first) : linkLocalGateway[subnet.family] };
  });

/**
 * The pod's routes to its surroundings: the gateway on the link, and its own subnet by the gateway, so
 * that pods of one subnet reach each other through the host.
 */
export const surroundingRoutes = (ips: IpConfig[]): PodRoute[] => {
  const routes = new Map<string, PodRoute>();
  const add = (route: PodRoute): void => {
    if (!routes.has(route.dst)) routes.set(route.dst, route);
  };
  for (const { address, gateway } of ips) {
    if (gateway === undefined) continue;
    const src = address.slice(0, address.indexOf('/'));
    if (!isLinkLocal6(gateway)) add({ dst: hostPrefix(gateway), scope: SCOPE_LINK, src });
    const subnet = networkCidr(address);
    if (subnet !== hostPrefix(src)) add({ dst: subnet, gw: gateway, src });
  }
  return [...routes.values()];
};

/** The host end's addresses: each gateway once, alone in its prefix. */
export const hostAddresses = (ips: IpConfig[]): string[] => [
  ...new Set(ips.flatMap(({ gateway }) => (gateway === undefined ? [] : [hostPrefix(gateway)]))),
];

/** The host's routes to the pod. */
export const hostRoutes = (ips: IpConfig[]): string[] =>
  ips.map(({ address }) => hostPrefix(address.slice(0, address.indexOf('/'))));

const hostPrefix = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;

const isLinkLocal6 = (address: string): boolean => /^fe[89ab]/i.test(address);
