import { isObject } from '../../shared/cni/fields.ts';
import type { JsonObject, JsonValue } from '../../shared/cni/types.ts';
import type { AttachmentParameters } from './attachment.ts';

/** One attachment as libcni remembers it (`cachedInfo` in its api.go). */
export interface CacheEntry {
  attachment: AttachmentParameters;
  networkName: string;
  /** The configuration list as it was at ADD; empty in a legacy file. */
  config: string;
  /** The final result; undefined when it is missing. */
  result: JsonObject | undefined;
}

const kind = 'cniCacheV1';

/** The file's name below `results/`. */
export const cacheFileName = (network: string, { containerId, ifname }: AttachmentParameters): string =>
  `${network}-${containerId}-${ifname}`;

/** The file's text: keys, order and omissions as Go's encoder writes `cachedInfo`. */
export const encodeCacheEntry = ({ attachment, networkName, config, result }: CacheEntry): string => {
  const { containerId, ifname, netns, args, capabilityArgs } = attachment;
  return JSON.stringify({
    kind,
    containerId,
    config: Buffer.from(config, 'utf8').toString('base64'),
    ifName: ifname,
    networkName,
    ...(netns === '' ? {} : { netns }),
    ...(args.length === 0 ? {} : { cniArgs: args }),
    ...(Object.keys(capabilityArgs).length === 0 ? {} : { capabilityArgs }),
    ...(result === undefined ? {} : { result }),
  });
};

/** Reads a file's text; undefined for what is not of this kind. */
export const decodeCacheEntry = (text: string): CacheEntry | undefined => {
  const json = parse(text);
  if (json?.kind !== kind) return undefined;
  const { containerId, ifName, networkName } = json;
  if (!isName(containerId) || !isName(ifName) || !isName(networkName)) return undefined;
  return {
    attachment: {
      containerId,
      ifname: ifName,
      netns: typeof json.netns === 'string' ? json.netns : '',
      args: Array.isArray(json.cniArgs) ? json.cniArgs.filter(isPair) : [],
      capabilityArgs: isObject(json.capabilityArgs) ? json.capabilityArgs : {},
    },
    networkName,
    config: typeof json.config === 'string' ? Buffer.from(json.config, 'base64').toString('utf8') : '',
    result: isObject(json.result) ? json.result : undefined,
  };
};

/** The bare result that runtimes wrote before `cniCacheV1`; undefined for anything else. */
export const decodeLegacyResult = (text: string): JsonObject | undefined => {
  const json = parse(text);
  return json === undefined || json.kind !== undefined ? undefined : json;
};

const parse = (text: string): JsonObject | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

const isName = (value: JsonValue | undefined): value is string => typeof value === 'string' && value !== '';

const isPair = (value: JsonValue): value is [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string');
