import type { FdbState } from '../kernel/neighbour-message.ts';
import { NUD_NOARP, NUD_PERMANENT } from '../kernel/neighbour-message.ts';
import type { RouteState } from '../kernel/route-message.ts';
import {
  type Devices,
  isIpv6,
  type PresentEntries,
  ROUTE_PROTOCOL,
  type WantedEntries,
  type WantedRoute,
} from './entries.ts';

/** What makes the present entries the wanted ones. */
export interface EntryChanges {
  /** MAC and underlay address. */
  fdb: [mac: string, dst: string][];
  /** Address and MAC. */
  neighbours: [address: string, mac: string][];
  /** Where nothing of ours leads to the prefix: what another may have put there is not replaced. */
  addedRoutes: WantedRoute[];
  replacedRoutes: WantedRoute[];
  staleRoutes: RouteState[];
  /** Addresses. */
  staleNeighbours: string[];
  staleFdb: FdbState[];
  /** How many of `fdb` and `neighbours` take an entry's place. */
  replaced: number;
}

/**
 * Compares what the kernel has with what it must have. Pure. All of `present` is ours: entries that nobody
 * wants go. A route over another device that is present but not marked as ours must not be among it.
 */
export const diffEntries = (
  present: PresentEntries,
  wanted: WantedEntries,
  devices: Devices,
): EntryChanges => {
  const changes: EntryChanges = {
    ...{ fdb: [], neighbours: [], addedRoutes: [], replacedRoutes: [] },
    ...{ staleRoutes: [], staleNeighbours: [], staleFdb: [], replaced: 0 },
  };
  diffRoutes(present.routes, wanted, devices, changes);
  diffNeighbours(present, wanted, changes);
  diffFdb(present.fdb, wanted, changes);
  return changes;
};

/** Number of changes. */
export const sizeOf = (changes: EntryChanges): number => {
  const { fdb, neighbours, addedRoutes, replacedRoutes, staleRoutes, staleNeighbours, staleFdb } = changes;
  return [fdb, neighbours, addedRoutes, replacedRoutes, staleRoutes, staleNeighbours, staleFdb].reduce(
    (sum, { length }) => sum + length,
    0,
  );
};

const diffRoutes = (
  present: readonly RouteState[],
  { routes }: WantedEntries,
  devices: Devices,
  changes: EntryChanges,
): void => {
  const inPlace = (route: RouteState): WantedRoute | undefined =>
    isInPlace(route) ? routes.get(route.dst) : undefined;
  const right = new Set<string>();
  for (const route of present) {
    const wanted = inPlace(route);
    if (wanted !== undefined && isRight(route, wanted, devices)) right.add(route.dst);
  }
  const wrong = new Set<string>();
  const told = new Set<string>();
  for (const route of present) {
    const wanted = inPlace(route);
    if (wanted !== undefined && isRight(route, wanted, devices)) continue;
    if (wanted !== undefined && !right.has(route.dst)) {
      wrong.add(route.dst);
      continue;
    }
    // Of a route with several next hops each is told; it goes as a whole.
    const key = `${route.dst} ${route.table} ${route.priority} ${route.tos}`;
    if (route.hops !== undefined && told.has(key)) continue;
    if (route.hops !== undefined) told.add(key);
    changes.staleRoutes.push(route);
  }
  for (const [dst, route] of routes) {
    if (wrong.has(dst)) changes.replacedRoutes.push(route);
    else if (!right.has(dst)) changes.addedRoutes.push(route);
  }
};

/** Whether it stands where our routes stand: table main, default metric, any type of service. */
export const isInPlace = ({ table, dst, priority, tos }: RouteState): boolean =>
  table === MAIN_TABLE &&
  tos === undefined &&
  (isIpv6(dst) ? priority === IPV6_METRIC || priority === undefined : !priority);

const isRight = (route: RouteState, wanted: WantedRoute, devices: Devices): boolean =>
  route.hops === undefined &&
  route.type === undefined &&
  route.gateway === wanted.via &&
  route.linkIndex === devices[wanted.over] &&
  route.protocol === ROUTE_PROTOCOL &&
  route.mtu === undefined &&
  route.advmss === undefined &&
  route.src === undefined;

const diffNeighbours = (
  { neighbours }: PresentEntries,
  wanted: WantedEntries,
  changes: EntryChanges,
): void => {
  const seen = new Set<string>();
  for (const { address, mac, state } of neighbours) {
    const wantedMac = wanted.neighbours.get(address);
    if (wantedMac === undefined) {
      // What the kernel tried to find out itself, and multicast (NOARP), is no entry of anybody.
      if ((state & NUD_PERMANENT) !== 0 || (mac !== undefined && (state & NUD_NOARP) === 0))
        changes.staleNeighbours.push(address);
      continue;
    }
    if (mac === wantedMac && (state & NUD_PERMANENT) !== 0) seen.add(address);
    else if (mac !== undefined) changes.replaced += 1;
  }
  for (const [address, mac] of wanted.neighbours) {
    if (!seen.has(address)) changes.neighbours.push([address, mac]);
  }
};

const diffFdb = (present: readonly FdbState[], wanted: WantedEntries, changes: EntryChanges): void => {
  const right = new Set<string>();
  for (const entry of present) if (isRightFdb(entry, wanted.fdb.get(entry.mac))) right.add(entry.mac);
  const kept = new Set<string>();
  for (const entry of present) {
    const dst = wanted.fdb.get(entry.mac);
    if (isRightFdb(entry, dst)) continue;
    // The kernel's "replace" changes the first of several destinations: one is left for it.
    if (dst === undefined || right.has(entry.mac) || kept.has(entry.mac) || entry.dst === undefined) {
      changes.staleFdb.push(entry);
    } else {
      kept.add(entry.mac);
      changes.replaced += 1;
    }
  }
  for (const [mac, dst] of wanted.fdb) if (!right.has(mac)) changes.fdb.push([mac, dst]);
};

const isRightFdb = (entry: FdbState, dst: string | undefined): boolean =>
  dst !== undefined &&
  entry.dst === dst &&
  entry.port === undefined &&
  entry.vni === undefined &&
  entry.via === undefined &&
  (entry.state & NUD_PERMANENT) !== 0;

const MAIN_TABLE = 254;

/** IP6_RT_PRIO_USER: what the kernel gives an IPv6 route without a metric. */
const IPV6_METRIC = 1024;
