import type { IpConfig, Route } from '../cni/types.ts';
import { sameCidr } from './address-compare.ts';

/**
 * A default route for each family that has an address and, from IPAM, no default route. The reference
 * adds one to a default route without a gateway, too, and fails as the two are the same.
 */
export const withDefaultRoutes = (routes: Route[], ips: IpConfig[]): Route[] => {
  const all = [...routes];
  for (const { address, gateway } of ips) {
    const dst = address.includes(':') ? '::/0' : '0.0.0.0/0';
    if (gateway === undefined || all.some((route) => sameCidr(route.dst, dst))) continue;
    all.push({ dst, gw: gateway });
  }
  return all;
};
