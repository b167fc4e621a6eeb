import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject } from '../../shared/cni/fields.ts';
import type { NetworkConfig } from '../../shared/cni/plugin.ts';
import { type ClusterIpamConfig, parseClusterIpam } from '../../shared/ipam/config.ts';
import { findNetwork } from '../run/find-network.ts';

export interface IpamFlags {
  confDir: string;
  json?: boolean;
}

/** A network with cluster-ipam, and how this node sees it. */
export interface IpamNetwork {
  config: NetworkConfig;
  cluster: ClusterIpamConfig;
}

/** Finds a network as `podwire run` does, and its cluster-ipam. Throws CniError 7 when it has none. */
export const findIpamNetwork = (name: string, { confDir }: IpamFlags): IpamNetwork => {
  const network = findNetwork(name, confDir);
  const plugin = network.plugins.find(({ json }) => isObject(json.ipam) && json.ipam.type === 'cluster-ipam');
  if (plugin === undefined) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `network "${network.name}" does not use cluster-ipam`,
      {
        details: 'None of its plugins has "ipam": {"type": "cluster-ipam"}.',
      },
    );
  }
  const config: NetworkConfig = {
    cniVersion: network.cniVersion,
    name: network.name,
    type: plugin.type,
    json: { ...plugin.json, name: network.name },
    prevResult: undefined,
    runtimeConfig: {},
    cniArgs: {},
  };
  return { config, cluster: parseClusterIpam(config) };
};
