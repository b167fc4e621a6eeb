import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Environment, NetworkConfig } from '../../shared/cni/plugin.ts';
import { parseDns, parseRoute } from '../../shared/cni/result-versions.ts';
import type { Dns, Route } from '../../shared/cni/types.ts';
import { isAtLeast } from '../../shared/cni/versions.ts';
import {
  type Address,
  type Cidr,
  contains,
  parseAddress,
  parseCidr,
} from '../../shared/kernel/address-math.ts';

export interface StaticAddress {
  address: Cidr;
  gateway?: Address;
}

export interface StaticConfig {
  addresses: StaticAddress[];
  routes: Route[];
  dns: Dns;
}

/**
 * The configuration of a static call. As in the reference, `runtimeConfig.ips` replace all other
 * addresses, else `args.cni.ips` do; without these, IP in CNI_ARGS adds to `ipam.addresses`, and
 * GATEWAY there sets the gateway of those that IP named. Throws CniError 4 for CNI_ARGS, 7 for the rest.
 */
export const parseStatic = (config: NetworkConfig, env: Environment): StaticConfig => {
  const top = new Fields(config.json);
  if (!top.has('ipam')) throw top.invalid('ipam', 'is missing');
  const ipam = top.fields('ipam');
  const configured = ipam.fieldsList('addresses').map(parseConfigured);
  const fromArgs = parseArgs(env);
  const addresses = parseList(new Fields(config.runtimeConfig, 'runtimeConfig')) ??
    parseList(new Fields(config.cniArgs, 'args.cni')) ?? [...configured, ...fromArgs];
  checkFamilies(addresses, config.cniVersion);
  return {
    addresses,
    routes: ipam.fieldsList('routes').map(parseRoute),
    dns: parseDns(ipam.fields('dns')),
  };
};

const parseConfigured = (fields: Fields): StaticAddress => {
  const address = parseCidr(fields.string('address') ?? '');
  if (address === undefined) throw fields.invalid('address', 'must be an address in CIDR notation');
  const text = fields.string('gateway') ?? '';
  if (text === '') return { address };
  const gateway = parseAddress(text);
  if (gateway === undefined) throw fields.invalid('gateway', 'must be an IP address');
  return { address, gateway };
};

/** `ips` of a capability or of `args.cni`; undefined when there are none. */
const parseList = (fields: Fields): StaticAddress[] | undefined => {
  const list = fields.strings('ips') ?? [];
  if (list.length === 0) return undefined;
  return list.map((text) => {
    const address = parseCidr(text);
    if (address === undefined) {
      throw fields.invalid('ips', `must be a list of addresses in CIDR notation; "${text}" is none`);
    }
    return { address };
  });
};

const parseArgs = ({ args }: Environment): StaticAddress[] => {
  const addresses: StaticAddress[] = split(args.get('IP')).map((text) => {
    const address = parseCidr(text);
    if (address === undefined) throw invalidArgs('IP', 'addresses in CIDR notation', text);
    return { address };
  });
  for (const text of split(args.get('GATEWAY'))) {
    const gateway = parseAddress(text);
    if (gateway === undefined) throw invalidArgs('GATEWAY', 'IP addresses', text);
    for (const entry of addresses) if (contains(entry.address, gateway)) entry.gateway = gateway;
  }
  return addresses;
};

/** Several values of one CNI_ARGS key stand between commas. */
const split = (text = ''): string[] => (text === '' ? [] : text.split(',').map((item) => item.trim()));

const invalidArgs = (key: string, wanted: string, text: string): CniError =>
  new CniError(ErrorCode.invalidEnvironment, `invalid CNI_ARGS: ${key} must hold ${wanted}, got "${text}"`, {
    details: 'Write it as IP=10.1.0.5/16,fd00::5/64;GATEWAY=10.1.0.1,fd00::1.',
  });

/** Results up to CNI 0.2.0 have room for one address of each family. */
const checkFamilies = (addresses: StaticAddress[], cniVersion: string): void => {
  if (isAtLeast(cniVersion, '0.3.0')) return;
  for (const family of [4, 6]) {
    if (addresses.filter(({ address }) => address.family === family).length < 2) continue;
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration: "cniVersion" "${cniVersion}" has no room for more than one IPv${family} address`,
      { details: 'Set "cniVersion" to 0.3.0 or newer, or configure one address of each family.' },
    );
  }
};
