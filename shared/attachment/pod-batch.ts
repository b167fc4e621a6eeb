import { CniError, ErrorCode } from '../cni/errors.ts';
import { show } from '../cni/fields.ts';
import type { IpConfig, Route } from '../cni/types.ts';
import { contains, parseAddress, parseCidr } from '../kernel/address-math.ts';
import { IpBatch } from '../kernel/ip-batch.ts';
import { SCOPE_LINK } from '../kernel/route.ts';

export interface PodInterface {
  ifname: string;
  ips: IpConfig[];
  routes: PodRoute[];
  /** Duplicate address detection is left on, and the caller waits for it. */
  enableDad: boolean;
  /** Addresses come without the kernel's route to their subnet; `routes` say how it is reached. */
  noPrefixRoute: boolean;
}

/** A route as it is applied: `gw` is final, and `src` may be chosen. */
export interface PodRoute extends Route {
  src?: string;
  /** The gateway is reached directly although no address of ours has it in its subnet. */
  onlink?: boolean;
}

/** The `ip -batch` that configures a pod's interface from inside its netns: up, addresses, routes. */
export const podBatch = ({ ifname, ips, routes, enableDad, noPrefixRoute }: PodInterface): IpBatch => {
  const batch = new IpBatch().add('link', 'set', 'dev', ifname, 'up');
  for (const { address } of ips) {
    const ipv6 = address.includes(':');
    batch.add(
      ...['address', 'add', address, 'dev', ifname],
      ...(ipv6 ? [] : ['broadcast', '+']),
      ...(ipv6 && !enableDad ? ['nodad'] : []),
      ...(noPrefixRoute ? ['noprefixroute'] : []),
    );
  }
  for (const route of routes) batch.add(...routeWords(ifname, route));
  return batch;
};

/**
 * The routes of an IPAM result with their gateways filled in: one without takes the first gateway of
 * its family, as the reference does, and one without any, or of link scope, is on the link. A gateway
 * outside of `onLink`, the prefixes the pod reaches directly, is marked, where the reference fails with
 * "network is unreachable". Throws CniError 7 for a gateway that is no address of the route's family.
 */
export const resolveRoutes = (routes: Route[], ips: IpConfig[], onLink: string[]): PodRoute[] =>
  routes.map((route) => {
    const ipv6 = route.dst.includes(':');
    if (route.gw !== undefined) checkGateway(route.dst, route.gw);
    const ofFamily = ips.find(({ gateway }) => gateway?.includes(':') === ipv6)?.gateway;
    const gateway = route.gw ?? (route.scope === SCOPE_LINK ? undefined : ofFamily);
    if (gateway === undefined) return route;
    return isOnLink(gateway, onLink) ? { ...route, gw: gateway } : { ...route, gw: gateway, onlink: true };
  });

const checkGateway = (dst: string, gw: string): void => {
  const family = parseCidr(dst)?.family;
  if (family !== undefined && parseAddress(gw)?.family === family) return;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `the route to ${show(dst)} has the gateway ${show(gw)}, which is no address of its family`,
    { details: 'Correct "routes" in the configuration of the IPAM plugin.' },
  );
};

// `prepend` is a plain create without NLM_F_EXCL: several routes to one destination are welcome (ECMP).
const routeWords = (ifname: string, route: PodRoute): (string | number)[] => {
  const words: (string | number)[] = ['route', 'prepend', route.dst];
  if (route.gw !== undefined) words.push('via', route.gw);
  words.push('dev', ifname);
  if (route.onlink) words.push('onlink');
  if (route.src !== undefined) words.push('src', route.src);
  if (route.scope !== undefined && !route.dst.includes(':')) words.push('scope', route.scope);
  if (route.priority !== undefined) words.push('metric', route.priority);
  if (route.table !== undefined) words.push('table', route.table);
  if (route.mtu !== undefined) words.push('mtu', route.mtu);
  if (route.advmss !== undefined) words.push('advmss', route.advmss);
  return words;
};

const isOnLink = (gateway: string, prefixes: string[]): boolean => {
  const address = parseAddress(gateway);
  // fe80::/10 is on every link.
  if (address === undefined || /^fe[89ab]/i.test(gateway)) return true;
  return prefixes.some((prefix) => {
    const subnet = parseCidr(prefix);
    return subnet !== undefined && contains(subnet, address);
  });
};
