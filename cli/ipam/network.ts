import { resolve } from 'node:path';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject } from '../../shared/cni/fields.ts';
import type { NetworkConfig } from '../../shared/cni/plugin.ts';
import { type ClusterIpamConfig, parseClusterIpam } from '../../shared/ipam/config.ts';
import { findNetwork, listNetworks } from '../run/find-network.ts';
import type { Network } from '../run/network.ts';

export interface IpamFlags {
  confDir: string;
  /** A network by its name in `confDir`. */
  network?: string;
  /** The file of a network. */
  config?: string;
  json?: boolean;
}

/** A network with cluster-ipam, and how this node sees it. */
export interface IpamNetwork {
  config: NetworkConfig;
  cluster: ClusterIpamConfig;
}

/**
 * The network that is meant, and its `ipam` section as the plugin reads it: of a file, by name, or the only one with
 * cluster-ipam in the directory. Throws CniError 5, 6 or 7 when there is none, or more than one to choose from.
 */
export const findIpamNetwork = (flags: IpamFlags): IpamNetwork => {
  const network = chooseNetwork(flags);
  const plugin = clusterPlugin(network);
  if (plugin === undefined) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `network "${network.name}" does not use cluster-ipam`,
      { details: 'None of its plugins has "ipam": {"type": "cluster-ipam"}.' },
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

const chooseNetwork = ({ confDir, network, config }: IpamFlags): Network => {
  if (config !== undefined) return findNetwork(resolve(config), confDir);
  if (network !== undefined) return findNetwork(network, confDir);
  const networks = listNetworks(confDir);
  const candidates = networks.filter((candidate) => clusterPlugin(candidate) !== undefined);
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return only;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    candidates.length === 0
      ? `no network in ${confDir} uses cluster-ipam`
      : `${candidates.length} networks in ${confDir} use cluster-ipam: ${candidates.map(({ name }) => name).join(', ')}`,
    {
      details:
        candidates.length > 0
          ? 'Choose one with --network NAME.'
          : `Give its file with --config FILE, or another directory with --conf-dir DIR. ${
              networks.length === 0
                ? 'There is no network configuration at all.'
                : `There are: ${networks.map(({ name }) => name).join(', ')}.`
            }`,
    },
  );
};

const clusterPlugin = ({ plugins }: Network): Network['plugins'][number] | undefined =>
  plugins.find(({ json }) => isObject(json.ipam) && json.ipam.type === 'cluster-ipam');
