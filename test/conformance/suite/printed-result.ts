import type { PrintedResult } from '../../support/call-plugin.ts';
import { before, type SpecVersion } from './case.ts';

/** What a result of one address says, apart from the shape that its version gives it. */
export interface PlainResult {
  interfaces?: NonNullable<PrintedResult['interfaces']>;
  /** In CIDR notation. */
  address: string;
  gateway: string;
  /** Index of the address's interface; none for an IPAM result. */
  interface?: number;
  routes?: { dst: string }[];
}

/** A result in the shape of a version. */
export const resultIn = (version: SpecVersion, plain: PlainResult): PrintedResult => {
  const { interfaces, address, gateway, routes = [{ dst: '0.0.0.0/0' }] } = plain;
  if (before('0.3.0')(version)) {
    return { cniVersion: version, ip4: { ip: address, gateway, routes }, dns: {} };
  }
  const family = before('1.0.0')(version) ? { version: '4' as const } : {};
  const index = plain.interface === undefined ? {} : { interface: plain.interface };
  return {
    cniVersion: version,
    ...(interfaces === undefined ? {} : { interfaces }),
    ips: [{ ...family, address, gateway, ...index }],
    routes,
    dns: {},
  };
};

export interface PlainAddress {
  address: string;
  gateway?: string | undefined;
}

/** The addresses of a result with their gateways, from the shape of any version. */
export const addressesOf = ({ ips, ip4, ip6 }: PrintedResult): PlainAddress[] =>
  ips?.map(({ address, gateway }) => ({ address, gateway })) ??
  [ip4, ip6].filter((family) => family !== undefined).map(({ ip, gateway }) => ({ address: ip, gateway }));

/** The addresses of a result without their prefix length. */
export const hostsOf = (result: PrintedResult): string[] =>
  addressesOf(result).map(({ address }) => address.slice(0, address.indexOf('/')));
