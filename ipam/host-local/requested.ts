import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Environment, NetworkConfig } from '../../shared/cni/plugin.ts';
import { type Address, formatAddress, parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { type AddressSet, isSameAddress, setHolds } from '../../shared/store/reservations/spans.ts';

/**
 * The addresses asked for, each once: IP in CNI_ARGS, `args.cni.ips` and `runtimeConfig.ips` together,
 * as in the reference. Each is "address" or "address/length"; the length is not used.
 * Throws CniError 4 for CNI_ARGS, 7 for the rest.
 */
export const parseRequested = (config: NetworkConfig, env: Environment): Address[] => {
  const all = [
    ...fromArgs(env.args.get('IP') ?? ''),
    ...fromList(new Fields(config.cniArgs, 'args.cni')),
    ...fromList(new Fields(config.runtimeConfig, 'runtimeConfig')),
  ];
  return [...new Map(all.map((address) => [formatAddress(address), address])).values()];
};

/**
 * Gives each set the first requested address that lies in it and is not given to an earlier set.
 * Throws CniError 102 when one is left over, or is a gateway.
 */
export const assignRequested = (sets: AddressSet[], requested: Address[]): AddressSet[] => {
  const left = [...requested];
  const assigned = sets.map((set) => {
    const index = left.findIndex((address) => setHolds(set, address));
    const [address] = index < 0 ? [] : left.splice(index, 1);
    if (address === undefined) return set;
    if (set.excluded.some((gateway) => isSameAddress(gateway, address))) {
      throw unavailable(
        `requested address ${formatAddress(address)} is the gateway's`,
        'Request another address.',
      );
    }
    return { ...set, requested: address };
  });
  if (left.length === 0) return assigned;
  throw unavailable(
    `requested addresses can't all be given: ${left.map(formatAddress).join(', ')}`,
    'Each must lie in one of the ranges, and each range set gives one address.',
  );
};

const fromArgs = (text: string): Address[] => {
  if (text === '') return [];
  const address = parseAddressOrCidr(text);
  if (address !== undefined) return [address];
  throw new CniError(
    ErrorCode.invalidEnvironment,
    `invalid CNI_ARGS: IP must be an IP address, got "${text}"`,
    {
      details: 'Write it as IP=10.1.0.5 or IP=10.1.0.5/16.',
    },
  );
};

const fromList = (fields: Fields): Address[] =>
  (fields.strings('ips') ?? []).map((text) => {
    const address = parseAddressOrCidr(text);
    if (address === undefined)
      throw fields.invalid('ips', `must be a list of IP addresses; "${text}" is none`);
    return address;
  });

const parseAddressOrCidr = (text: string): Address | undefined => {
  if (!text.includes('/')) return parseAddress(text);
  const cidr = parseCidr(text);
  return cidr === undefined ? undefined : { family: cidr.family, value: cidr.value };
};

const unavailable = (message: string, details: string): CniError =>
  new CniError(ErrorCode.addressUnavailable, message, { details });
