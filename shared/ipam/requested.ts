import { CniError, ErrorCode } from '../cni/errors.ts';
import { Fields } from '../cni/fields.ts';
import type { Environment, NetworkConfig } from '../cni/plugin.ts';
import { type Address, formatAddress, parseAddress, parseCidr } from '../kernel/address-math.ts';

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
