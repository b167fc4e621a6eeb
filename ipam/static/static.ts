import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { type Call, conventionalArgs, type Plugin } from '../../shared/cni/plugin.ts';
import type { IpConfig, Result } from '../../shared/cni/types.ts';
import { formatAddress, formatCidr, parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { parseStatic, type StaticAddress } from './config.ts';

/**
 * IPAM with addresses written in the configuration, with the reference plugin's keys
 * (containernetworking/plugins, `plugins/ipam/static`). It reserves nothing, so DEL and GC have
 * nothing to free, and STATUS only tells whether the configuration is valid.
 */
export const plugin: Plugin = {
  title: 'static',
  knownArgs: conventionalArgs,
  add: ({ config, env }) => resultOf(config, env),
  del: () => {},
  check: ({ config, env }) => {
    const { addresses } = parseStatic(config, env);
    if (config.prevResult === undefined) {
      throw new CniError(
        ErrorCode.invalidNetworkConfig,
        'CHECK needs "prevResult", and the configuration has none',
      );
    }
    const problem = compare(addresses, config.prevResult);
    if (problem === undefined) return;
    throw new CniError(ErrorCode.checkFailed, `container ${env.containerId} ${env.ifname}: ${problem}`, {
      details: 'The configuration was changed after ADD: DEL and ADD the attachment again.',
    });
  },
  gc: () => {},
  status: ({ config, env }) => {
    parseStatic(config, env);
  },
};

/**
 * How prevResult differs from the configured addresses; undefined when each is there with its gateway.
 * Addresses beyond these are other plugins' affair.
 */
const compare = (addresses: StaticAddress[], { ips }: Result): string | undefined => {
  for (const { address, gateway } of addresses) {
    const text = formatAddress(address);
    const given = ips.find((ip) => canonical(parseCidr(ip.address)) === text);
    if (given === undefined) return `prevResult lacks ${text}`;
    const wanted = gateway === undefined ? undefined : formatAddress(gateway);
    const found = canonical(parseAddress(given.gateway ?? ''));
    if (wanted !== undefined && wanted !== found) {
      return `prevResult has the gateway ${found ?? '(none)'} for ${text}, not ${wanted}`;
    }
  }
  return undefined;
};

const resultOf = (config: Call['config'], env: Call['env']): Result => {
  const { addresses, routes, dns } = parseStatic(config, env);
  return { interfaces: [], ips: addresses.map(toIpConfig), routes, dns };
};

const toIpConfig = ({ address, gateway }: StaticAddress): IpConfig =>
  gateway === undefined
    ? { address: formatCidr(address) }
    : { address: formatCidr(address), gateway: formatAddress(gateway) };

const canonical = (address: ReturnType<typeof parseAddress>): string | undefined =>
  address === undefined ? undefined : formatAddress(address);
