import type { FdbState, NeighbourState } from '../kernel/neighbour-message.ts';
import type { RouteState } from '../kernel/route-message.ts';

/** The protocol number that marks our routes (`ip route show proto 112`). */
export const ROUTE_PROTOCOL = 112;

/** A route that must exist, in table main with the default metric. */
export interface WantedRoute {
  /** Canonical. */
  dst: string;
  via: string;
  /** Over the VTEP, or over the underlay's device. */
  over: 'vtep' | 'underlay';
}

/** What must exist for the peers. Keys are unique by construction. */
export interface WantedEntries {
  /** By `dst`. */
  routes: Map<string, WantedRoute>;
  /** MAC by address, on the VTEP. */
  neighbours: Map<string, string>;
  /** Underlay address by MAC, on the VTEP. */
  fdb: Map<string, string>;
}

/** What of it, and of others on our VTEP, the kernel has. */
export interface PresentEntries {
  /** Unicast routes with our protocol number, and all over our VTEP that the kernel has not made by itself. */
  routes: RouteState[];
  neighbours: NeighbourState[];
  fdb: FdbState[];
}

/** The interface indices that routes are told apart by; -1 for a device that is not there. */
export interface Devices {
  vtep: number;
  underlay: number;
}

export const noEntries = (): WantedEntries => ({ routes: new Map(), neighbours: new Map(), fdb: new Map() });

export const isIpv6 = (text: string): boolean => text.includes(':');
