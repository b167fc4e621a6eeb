import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { requirePrevResult } from '../../shared/cni/prev-result.ts';
import type { IpConfig, JsonObject, Result } from '../../shared/cni/types.ts';
import { parseAddress } from '../../shared/kernel/address-math.ts';

/** The keys of the reference's `sbr`. */
export interface SbrConfig {
  /** The table for the rules, whose routes are somebody else's; undefined: free ones, with the interface's routes. */
  table: number | undefined;
  /** Gateways instead of those of prevResult. */
  gateways: { 4?: string; 6?: string };
  /** Keep the subnets reachable by the main table, with the interface's addresses as source. */
  addSourceHints: boolean;
}

/** Throws CniError 7 that names the key at fault. */
export const parseConfig = ({ config }: Call): SbrConfig => {
  const fields = new Fields(config.json);
  return {
    table: fields.integer('table', 1, 0xffff_ffff),
    gateways: parseGateways(fields),
    addSourceHints: fields.boolean('addSourceHints') ?? false,
  };
};

/** `table`, as far as it can be understood: DEL must succeed with a configuration that ADD refused. */
export const tableForRemoval = (json: JsonObject): number | undefined => {
  const table = new Fields(json).raw('table');
  return typeof table === 'number' ? table : undefined;
};

/** The result of the plugin before. Throws CniError 7 when there is none. */
export const prevResultOf = ({ config }: Call): Result =>
  requirePrevResult(
    config,
    'sbr',
    'It routes by the addresses of an interface that another plugin has made: put it behind that one.',
  );

/** The addresses of an interface; one that names no interface is taken for its, as in the reference. */
export const addressesOf = ({ interfaces, ips }: Result, ifname: string): IpConfig[] =>
  ips.filter(({ interface: index }) => {
    const owner = index === undefined ? undefined : interfaces[index];
    return owner === undefined || owner.name === ifname;
  });

/** As `addressesOf`; throws CniError 7 when there are none. */
export const requireAddresses = (prevResult: Result, ifname: string): IpConfig[] => {
  const own = addressesOf(prevResult, ifname);
  if (own.length > 0) return own;
  throw new CniError(ErrorCode.invalidNetworkConfig, `prevResult has no address of "${ifname}"`, {
    details: 'Without an address there is nothing to route by.',
  });
};

const parseGateways = (fields: Fields): SbrConfig['gateways'] => {
  const gateways: SbrConfig['gateways'] = {};
  for (const text of fields.strings('gateways') ?? []) {
    const family = parseAddress(text)?.family;
    if (family === undefined) throw fields.invalid('gateways', 'must be a list of addresses');
    if (gateways[family] !== undefined) {
      throw fields.invalid('gateways', `has two of IPv${family}`, 'Give at most one of each family.');
    }
    gateways[family] = text;
  }
  return gateways;
};
