import { Fields, isObject } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { JsonObject } from '../../shared/cni/types.ts';

/**
 * The call with this node's prefixes as the ranges of host-local, where the configuration gives it none: one
 * address of each family, from any of its prefixes. Any other IPAM plugin gets what is configured. What is
 * delegated changes with it, as a foreign host-local reads it from its stdin.
 */
export const withNodeRanges = (call: Call, podCIDRs: readonly string[]): Call => {
  const ipam = new Fields(call.config.json).raw('ipam');
  if (!isObject(ipam) || hasRanges(ipam, call.config.runtimeConfig)) return call;
  const ranges = [false, true].flatMap((isIpv6) => {
    const ofFamily = podCIDRs.filter((cidr) => cidr.includes(':') === isIpv6);
    return ofFamily.length === 0 ? [] : [ofFamily.map((subnet) => ({ subnet }))];
  });
  const json: JsonObject = { ...call.config.json, ipam: { ...ipam, ranges } };
  return {
    ...call,
    config: { ...call.config, json },
    stdin: new TextEncoder().encode(JSON.stringify(json)),
  };
};

/**
 * For DEL and GC when nobody knows any more what the ranges were (RFC 5737, for documentation): the reference's
 * host-local refuses to release without ranges, but finds what to release by container, whatever they are.
 */
export const anyRanges: readonly string[] = ['192.0.2.0/24'];

const hasRanges = (ipam: JsonObject, runtimeConfig: JsonObject): boolean => {
  const fields = new Fields(ipam);
  if (fields.raw('type') !== 'host-local') return true;
  return (
    fields.has('subnet') || isFilled(fields, 'ranges') || isFilled(new Fields(runtimeConfig), 'ipRanges')
  );
};

/** An empty list is none. */
const isFilled = (fields: Fields, key: string): boolean => {
  const value = fields.raw(key);
  return value !== undefined && !(Array.isArray(value) && value.length === 0);
};
