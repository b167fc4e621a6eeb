import { BridgeBatch } from '../kernel/bridge-batch.ts';
import { IpBatch } from '../kernel/ip-batch.ts';
import type { FdbState } from '../kernel/neighbour-message.ts';
import type { RouteState } from '../kernel/route-message.ts';
import type { EntryChanges } from './diff.ts';
import { isIpv6, ROUTE_PROTOCOL, type WantedRoute } from './entries.ts';

/** Names of the devices that lines speak of. */
export interface DeviceNames {
  vtep: string;
  underlay: string;
  /** Of another device that a stale route leads over; undefined when it is gone. */
  byIndex: (index: number) => string | undefined;
}

/** The steps, in this order, by which no packet to a peer that stays is lost. */
export interface EntryLines {
  /** New and changed FDB entries: before the routes that lead to them. */
  fdb: BridgeBatch;
  /** Neighbours, then routes; then what is stale of both. */
  ip: IpBatch;
  staleFdb: BridgeBatch;
}

/**
 * The lines that carry out changes; those for `ip` are added to `first`. Throws CniError 7 on a device name
 * that a batch cannot carry.
 */
export const entryLines = (changes: EntryChanges, names: DeviceNames, first = new IpBatch()): EntryLines => {
  const lines: EntryLines = { fdb: new BridgeBatch(), ip: first, staleFdb: new BridgeBatch() };
  const { vtep } = names;
  for (const [mac, dst] of changes.fdb)
    lines.fdb.add('fdb', 'replace', mac, 'dev', vtep, 'dst', dst, 'self', 'permanent');
  for (const [address, mac] of changes.neighbours)
    lines.ip.add('neigh', 'replace', address, 'lladdr', mac, 'dev', vtep, 'nud', 'permanent');
  for (const route of changes.replacedRoutes) lines.ip.add('route', 'replace', ...routeWords(route, names));
  for (const route of changes.addedRoutes) lines.ip.add('route', 'add', ...routeWords(route, names));
  for (const route of changes.staleRoutes) lines.ip.add('route', 'del', ...staleRouteWords(route, names));
  for (const address of changes.staleNeighbours) lines.ip.add('neigh', 'del', address, 'dev', vtep);
  for (const entry of changes.staleFdb) lines.staleFdb.add(...staleFdbWords(entry, names));
  return lines;
};

const routeWords = ({ dst, via, over }: WantedRoute, names: DeviceNames): (string | number)[] => [
  ...[dst, 'via', via, 'dev', names[over]],
  // The address of a peer's VTEP is in no subnet of ours. An IPv6 next hop is a link-local address.
  ...(over === 'vtep' && !isIpv6(dst) ? ['onlink'] : []),
  ...['proto', ROUTE_PROTOCOL],
];

const staleRouteWords = (route: RouteState, names: DeviceNames): (string | number)[] => {
  const { type, dst, gateway, linkIndex, priority, table, protocol, tos, hops } = route;
  const device = linkIndex === undefined ? undefined : names.byIndex(linkIndex);
  const family = isIpv6(dst) ? 'inet6' : 'inet';
  return [
    ...(type === undefined ? [] : [type]),
    dst,
    ...(hops === undefined && gateway !== undefined
      ? ['via', ...(isIpv6(gateway) && family === 'inet' ? ['inet6'] : []), gateway]
      : []),
    ...(hops === undefined && type === undefined && device !== undefined ? ['dev', device] : []),
    ...(priority === undefined ? [] : ['metric', priority]),
    ...(tos === undefined ? [] : ['tos', `0x${tos.toString(16)}`]),
    ...['table', table, 'proto', protocol],
  ];
};

const staleFdbWords = ({ mac, dst, port, vni, via }: FdbState, names: DeviceNames): (string | number)[] => {
  const device = via === undefined ? undefined : names.byIndex(via);
  return [
    ...['fdb', 'del', mac, 'dev', names.vtep],
    ...(dst === undefined ? [] : ['dst', dst]),
    ...(port === undefined ? [] : ['port', port]),
    ...(vni === undefined ? [] : ['vni', vni]),
    ...(device === undefined ? [] : ['via', device]),
    'self',
  ];
};
