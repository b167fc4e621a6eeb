/** Results in one internal form, that of CNI 1.1.0; `result-versions.ts` converts from and to the others. */

export interface Interface {
  name: string;
  mac?: string;
  mtu?: number;
  /** CNI_NETNS for interfaces in the container, absent for those on the host. */
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}

export interface IpConfig {
  /** CIDR notation that keeps the host bits: `10.1.0.5/16`. */
  address: string;
  gateway?: string;
  /** Index into `interfaces`; an IPAM plugin leaves it out. */
  interface?: number;
}

export interface Route {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  /** 0 global, 253 link, 254 host. */
  scope?: number;
}

export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

export interface Result {
  interfaces: Interface[];
  ips: IpConfig[];
  routes: Route[];
  dns: Dns;
}

export const emptyResult = (): Result => ({ interfaces: [], ips: [], routes: [], dns: {} });

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };
