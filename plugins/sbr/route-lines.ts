import type { IpBatch } from '../../shared/kernel/ip-batch.ts';
import type { RouteState } from '../../shared/kernel/route.ts';

/** A line that gives a table a copy of a route, or replaces the one that is there. */
export const replaceRoute = (batch: IpBatch, route: RouteState, ifname: string, table: number): void => {
  const { dst, onlink, src, scope, protocol, mtu, advmss } = route;
  batch.add(
    ...['route', 'replace', dst, ...hop(route), 'dev', ifname, onlink && 'onlink'],
    ...(src === undefined ? [] : ['src', src]),
    // IPv6 has no scopes.
    ...(dst.includes(':') ? [] : ['scope', scope]),
    ...['proto', protocol, ...metric(route)],
    ...(mtu === undefined ? [] : ['mtu', mtu]),
    ...(advmss === undefined ? [] : ['advmss', advmss]),
    ...['table', table],
  );
};

/** A line that takes a route out of a table. */
export const deleteRoute = (batch: IpBatch, route: RouteState, ifname: string, table: number): void => {
  batch.add('route', 'del', route.dst, ...hop(route), 'dev', ifname, ...metric(route), 'table', table);
};

const hop = ({ dst, gateway }: RouteState): string[] => {
  if (gateway === undefined) return [];
  return gateway.includes(':') && !dst.includes(':') ? ['via', 'inet6', gateway] : ['via', gateway];
};

const metric = ({ priority }: RouteState): (string | number)[] =>
  priority === undefined || priority === 0 ? [] : ['metric', priority];
