import { parseAddress, parseCidr } from '../kernel/address-math.ts';
import { CniError, ErrorCode } from './errors.ts';
import { Fields, isObject } from './fields.ts';
import type { Dns, Interface, IpConfig, JsonObject, JsonValue, Result, Route } from './types.ts';
import { isAtLeast } from './versions.ts';

/** cniVersion 0.1.0 and 0.2.0 have one address per family and no interfaces. */
const isLegacy = (version: string): boolean => !isAtLeast(version, '0.3.0');

/**
 * A result of any version (a delegate's output or `prevResult`) in the internal form. One without
 * cniVersion inherits the configuration's. Throws CniError 6 or 7 that names the key at fault.
 */
export const parseResult = (json: JsonObject, configVersion: string): Result => {
  const fields = new Fields(json);
  const version = fields.string('cniVersion') || configVersion;
  if (isLegacy(version)) return parseLegacyResult(fields);
  return {
    interfaces: fields.fieldsList('interfaces').map(parseInterface),
    ips: fields.fieldsList('ips').map(parseIp),
    routes: fields.fieldsList('routes').map(parseRoute),
    dns: parseDns(fields.fields('dns')),
  };
};

/**
 * The result as an object of `version`, ready to be printed. Throws CniError 7 when that version
 * can't express it: 0.1.0 and 0.2.0 know no result without an address.
 */
export const formatResult = (result: Result, version: string): JsonObject => {
  if (isLegacy(version)) return formatLegacyResult(result, version);
  const modern = isAtLeast(version, '1.0.0');
  const json: JsonObject = { cniVersion: version };
  if (result.interfaces.length > 0) {
    json.interfaces = result.interfaces.map((entry) =>
      modern ? { ...entry } : pick(entry, ['name', 'mac', 'sandbox']),
    );
  }
  if (result.ips.length > 0) {
    json.ips = result.ips.map((ip) =>
      modern ? { ...ip } : { version: familyOf(ip.address) === 4 ? '4' : '6', ...ip },
    );
  }
  if (result.routes.length > 0) {
    json.routes = result.routes.map((route) => (modern ? { ...route } : pick(route, ['dst', 'gw'])));
  }
  const dns: JsonObject = { ...result.dns };
  if (!modern || Object.keys(dns).length > 0) json.dns = dns;
  return json;
};

/** `dns` of a configuration or a result; keys with nothing in them are left out. */
export const parseDns = (fields: Fields): Dns => {
  const dns: Dns = {};
  const domain = fields.string('domain');
  if (domain) dns.domain = domain;
  for (const key of ['nameservers', 'search', 'options'] as const) {
    const list = fields.strings(key);
    if (list !== undefined && list.length > 0) dns[key] = list;
  }
  return dns;
};

/** Routes as results and the IPAM plugins' configurations write them. */
export const parseRoute = (fields: Fields): Route => {
  const route: Route = { dst: parseCidrText(fields, 'dst') };
  const gw = parseAddressText(fields, 'gw');
  if (gw !== undefined) route.gw = gw;
  for (const key of ['mtu', 'advmss', 'priority', 'table'] as const) {
    const value = fields.integer(key, 0, 0xffff_ffff);
    if (value !== undefined) route[key] = value;
  }
  const scope = fields.integer('scope', 0, 255);
  if (scope !== undefined) route.scope = scope;
  return route;
};

const parseInterface = (fields: Fields): Interface => {
  const entry: Interface = { name: fields.string('name') ?? '' };
  for (const key of ['mac', 'sandbox', 'socketPath', 'pciID'] as const) {
    const value = fields.string(key);
    if (value) entry[key] = value;
  }
  const mtu = fields.integer('mtu', 0, 0xffff_ffff);
  if (mtu) entry.mtu = mtu;
  return entry;
};

const parseIp = (fields: Fields): IpConfig => {
  const ip: IpConfig = { address: parseCidrText(fields, 'address') };
  const gateway = parseAddressText(fields, 'gateway');
  if (gateway !== undefined) ip.gateway = gateway;
  const index = fields.integer('interface', -1, 0xffff);
  if (index !== undefined) ip.interface = index;
  return ip;
};

/** The text as it is, once it is known to be an address with a prefix length. */
const parseCidrText = (fields: Fields, key: string): string => {
  const text = fields.string(key) ?? '';
  if (parseCidr(text) === undefined) throw fields.invalid(key, 'must be an address in CIDR notation');
  return text;
};

/** The same for a lone address; an empty text counts as absent. */
const parseAddressText = (fields: Fields, key: string): string | undefined => {
  const text = fields.string(key) || undefined;
  if (text !== undefined && parseAddress(text) === undefined)
    throw fields.invalid(key, 'must be an IP address');
  return text;
};

const parseLegacyResult = (fields: Fields): Result => {
  const result: Result = { interfaces: [], ips: [], routes: [], dns: parseDns(fields.fields('dns')) };
  for (const key of ['ip4', 'ip6']) {
    if (!fields.has(key)) continue;
    const part = fields.fields(key);
    const address = parseCidrText(part, 'ip');
    const gateway = parseAddressText(part, 'gateway');
    result.ips.push(gateway === undefined ? { address } : { address, gateway });
    result.routes.push(...part.fieldsList('routes').map(parseRoute));
  }
  return result;
};

const formatLegacyResult = (result: Result, version: string): JsonObject => {
  const json: JsonObject = { cniVersion: version };
  for (const family of [4, 6] as const) {
    const ip = result.ips.find(({ address }) => familyOf(address) === family);
    if (ip === undefined) continue;
    const part: JsonObject = { ip: ip.address };
    if (ip.gateway !== undefined) part.gateway = ip.gateway;
    const routes = result.routes.filter(({ dst }) => familyOf(dst) === family);
    if (routes.length > 0) part.routes = routes.map((route) => pick(route, ['dst', 'gw']));
    json[`ip${family}`] = part;
  }
  if (json.ip4 === undefined && json.ip6 === undefined) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `a result without addresses can't be expressed in cniVersion "${version}"`,
      { details: 'Set "cniVersion" to 0.3.0 or newer, or configure "ipam".' },
    );
  }
  json.dns = { ...result.dns };
  return json;
};

const familyOf = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4);

const pick = (object: object, keys: string[]): { [key: string]: JsonValue } =>
  Object.fromEntries(Object.entries(object).filter(([key]) => keys.includes(key)));

/** The plugin's standard output as a JSON object; undefined when it is none. */
export const parseJsonOutput = (text: string): JsonObject | undefined => {
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
};
