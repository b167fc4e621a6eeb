import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields, isObject } from '../../shared/cni/fields.ts';
import type { Environment, NetworkConfig } from '../../shared/cni/plugin.ts';
import { parseRoute } from '../../shared/cni/result-versions.ts';
import type { Route } from '../../shared/cni/types.ts';
import { isAtLeast } from '../../shared/cni/versions.ts';
import { parseRequested } from '../../shared/ipam/requested.ts';
import type { Address } from '../../shared/kernel/address-math.ts';
import { type Place, placeOf } from '../../shared/store/reservations/files.ts';
import { formatRange, overlap, parseRange, type Range } from './range.ts';

/** What a range set allocates from; never empty, all of one family. */
export type RangeSet = Range[];

export interface HostLocalConfig {
  sets: RangeSet[];
  routes: Route[];
  /** Path of a resolv.conf to read `dns` from. */
  resolvConf: string | undefined;
  /** Addresses asked for, each once. */
  requested: Address[];
}

const defaultDataDir = '/var/lib/cni/networks';

/**
 * The configuration of a host-local call. Range sets count in this order, which numbers the
 * `last_reserved_ip.<n>` files: `runtimeConfig.ipRanges`, the single range written directly in `ipam`
 * when it has a `subnet`, `ipam.ranges`. Throws CniError 7.
 */
export const parseHostLocal = (config: NetworkConfig, env: Environment): HostLocalConfig => {
  const ipam = ipamFields(config);
  const runtime = new Fields(config.runtimeConfig, 'runtimeConfig');
  const sets = [
    ...parseSets(runtime, 'ipRanges'),
    ...(ipam.has('subnet') ? [[parseRange(ipam)]] : []),
    ...parseSets(ipam, 'ranges'),
  ];
  if (sets.length === 0) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'invalid configuration: no range to allocate from', {
      details: 'Set "ipam.ranges", for instance to [[{"subnet": "10.1.0.0/16"}]].',
    });
  }
  checkFamilies(sets, config.cniVersion);
  checkOverlaps(sets);
  return {
    sets,
    routes: ipam.fieldsList('routes').map(parseRoute),
    resolvConf: ipam.string('resolvConf') || undefined,
    requested: parseRequested(config, env),
  };
};

/**
 * Where the network's reservations are. Apart from the rest, so that DEL and GC free addresses also
 * when the ranges can't be understood. Throws CniError 7.
 */
export const parsePlace = (config: NetworkConfig): Place =>
  placeOf(ipamFields(config).string('dataDir') || defaultDataDir, config.name);

const ipamFields = (config: NetworkConfig): Fields => {
  const fields = new Fields(config.json);
  if (!fields.has('ipam')) throw fields.invalid('ipam', 'is missing');
  return fields.fields('ipam');
};

const parseSets = (fields: Fields, key: string): RangeSet[] =>
  (fields.array(key) ?? []).map((set, index) => {
    const path = `${fields.pathOf(key)}[${index}]`;
    if (!Array.isArray(set) || set.length === 0) {
      throw fields.invalid(key, `must be a list of lists of ranges; item ${index} is none, or empty`);
    }
    const ranges = set.map((range, inner) => {
      if (!isObject(range)) throw fields.invalid(key, `must hold objects; item ${index}, ${inner} is none`);
      return parseRange(new Fields(range, `${path}[${inner}]`));
    });
    if (ranges.some(({ family }) => family !== ranges[0]?.family)) {
      throw fields.invalid(key, `must not mix IPv4 and IPv6 in one set; set ${index} does`, mixedAdvice);
    }
    return ranges;
  });

const mixedAdvice = 'Each inner list gives one address; write two lists for dual stack.';

/** Results up to CNI 0.2.0 have room for one address of each family. */
const checkFamilies = (sets: RangeSet[], cniVersion: string): void => {
  if (isAtLeast(cniVersion, '0.3.0')) return;
  for (const family of [4, 6]) {
    if (sets.filter((set) => set[0]?.family === family).length < 2) continue;
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration: "cniVersion" "${cniVersion}" has no room for more than one IPv${family} address`,
      { details: 'Set "cniVersion" to 0.3.0 or newer, or configure one range set for each family.' },
    );
  }
};

/** In the order of addresses, ranges that overlap have neighbours that do. */
const checkOverlaps = (sets: RangeSet[]): void => {
  const all = sets.flatMap((set, index) => set.map((range) => ({ range, index })));
  all.sort((a, b) => a.range.family - b.range.family || (a.range.first < b.range.first ? -1 : 1));
  for (const [position, next] of all.entries()) {
    const previous = all[position - 1];
    if (previous === undefined || !overlap(previous.range, next.range)) continue;
    const [a, b] = previous.index <= next.index ? [previous, next] : [next, previous];
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration: ranges ${formatRange(a.range)} (set ${a.index}) and ${formatRange(b.range)} (set ${b.index}) overlap`,
      {
        details:
          'Sets are counted from 0: "runtimeConfig.ipRanges", the range in "ipam" itself, "ipam.ranges".',
      },
    );
  }
};
