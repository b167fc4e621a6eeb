import type { Call } from '../../shared/cni/plugin.ts';
import type { IpConfig, Result } from '../../shared/cni/types.ts';
import { blockAround } from '../../shared/ipam/blocks.ts';
import { type Prefix, parseClusterIpam, requestOf } from '../../shared/ipam/config.ts';
import type { Given } from '../../shared/ipam/give.ts';
import { stayAhead } from '../../shared/ipam/look-ahead.ts';
import { obtain } from '../../shared/ipam/obtain.ts';
import { readResolvConf } from '../../shared/ipam/resolv-conf.ts';
import { bitsOf, firstHostOf, formatAddress, formatCidr } from '../../shared/kernel/address-math.ts';
import type { StoreOptions } from '../../shared/store/reservations/store.ts';

/**
 * Gives the attachment one address of each family; the same ones again when it holds some already. Throws
 * CniError 4 or 7 for wrong input, 102 when an address can't be had, 11 when the datastore is needed and away, or a
 * lock stays taken, 5 when a directory or the resolv.conf fails.
 */
export const add = async (call: Call, options: StoreOptions = {}): Promise<Result> => {
  const cluster = parseClusterIpam(call.config);
  const request = requestOf(cluster, call.config, call.env);
  const dns = cluster.resolvConf === undefined ? {} : readResolvConf(cluster.resolvConf);
  const node = { ...cluster.node, options: { checkpoint: call.checkpoint, ...options } };
  const { given, isLow } = await obtain(node, request);
  if (isLow) await stayAhead(node, request.asker);
  return {
    interfaces: [],
    ips: given.map((each) => ipConfigOf(each, cluster.prefix)),
    routes: cluster.routes,
    dns,
  };
};

/**
 * An address as the network plugin is to configure it. With the pool's length all pods are in one subnet, whose gateway
 * each node can have for itself (`ptp`, or a bridge of one node), or a router has (a bridge with an uplink). With the
 * block's length, a bridge's pods reach those of other nodes by its gateway.
 */
export const ipConfigOf = ({ address, pool, block }: Given, prefix: Prefix): IpConfig => {
  if (prefix === 'block') {
    const subnet = block ?? blockAround(address, pool);
    return {
      address: formatCidr({ ...address, prefixLength: subnet.prefixLength }),
      gateway: formatAddress(firstHostOf(subnet)),
    };
  }
  const prefixLength = prefix === 'host' ? bitsOf(address.family) : pool.cidr.prefixLength;
  return { address: formatCidr({ ...address, prefixLength }), gateway: formatAddress(pool.gateway) };
};
