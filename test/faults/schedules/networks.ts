import type { NetworkConfig } from '../../plugins/attachment.ts';

/** One network of the schedule, with what its attachments must show in kernel and packet filter. */
export interface SoakNetwork {
  name: string;
  config: NetworkConfig;
  /** A container may have one attachment under each. */
  ifnames: string[];
  /** Where the host ends are ports; undefined for a routed network. */
  bridge: string | undefined;
  filter: 'nftables' | 'iptables' | undefined;
  spoofCheck: boolean;
  /** Number of addresses in the smallest range; undefined where there are more than can be wanted. */
  capacity: number | undefined;
  /** Addresses of each attachment; 0 without IPAM. */
  addressesEach: number;
}

const hostLocal = (...ranges: object[]) => ({
  type: 'host-local',
  ranges: ranges.map((range) => [range]),
  routes: [{ dst: '192.0.2.0/24' }],
});

const bridge = (name: string, keys: object) => ({ cniVersion: '1.1.0', name, type: 'bridge', ...keys });
const nftables = { ipMasq: true, ipMasqBackend: 'nftables' };

/** Containers have one of these on `eth0`, whichever comes first. */
const wantEth0 = ['plain', 'routed', 'layer2'];

const network = (
  config: NetworkConfig & { bridge?: string; ipMasqBackend?: string; macspoofchk?: boolean },
  capacity?: number,
): SoakNetwork => {
  const ipam = config.ipam as { ranges?: unknown[] } | undefined;
  return {
    name: config.name,
    config,
    ifnames: [`${config.name}0`, ...(wantEth0.includes(config.name) ? ['eth0'] : [`${config.name}1`])],
    bridge: config.bridge,
    filter: config.ipMasqBackend as SoakNetwork['filter'],
    spoofCheck: config.macspoofchk === true,
    capacity,
    addressesEach: ipam?.ranges?.length ?? 0,
  };
};

/**
 * The networks of the schedule. `plain` and `beside` share a bridge; `few` and `tight` run full; a
 * container may be on all of them, and `eth0` is taken by whichever comes first.
 */
export const soakNetworks: readonly SoakNetwork[] = [
  network(
    bridge('plain', {
      bridge: 'soak0',
      isGateway: true,
      ...nftables,
      ipam: hostLocal({ subnet: '10.40.0.0/16' }),
    }),
  ),
  network(bridge('beside', { bridge: 'soak0', ...nftables, ipam: hostLocal({ subnet: '10.41.0.0/20' }) })),
  network(
    bridge('dual', {
      bridge: 'soak1',
      isGateway: true,
      hairpinMode: true,
      macspoofchk: true,
      ...nftables,
      ipam: hostLocal({ subnet: '10.42.0.0/20' }, { subnet: 'fd42::/64' }),
    }),
  ),
  network({
    cniVersion: '1.1.0',
    name: 'routed',
    type: 'ptp',
    ...nftables,
    ipam: hostLocal({ subnet: '10.43.0.0/20' }),
  }),
  network(
    bridge('tables', {
      bridge: 'soak2',
      isGateway: true,
      ipMasq: true,
      ipMasqBackend: 'iptables',
      ipam: hostLocal({ subnet: '10.44.0.0/20' }),
    }),
  ),
  network(
    {
      cniVersion: '1.1.0',
      name: 'few',
      type: 'veth',
      ...nftables,
      ipam: hostLocal({ subnet: '10.45.0.0/28' }, { subnet: 'fd45::/64' }),
    },
    13,
  ),
  network(
    bridge('tight', { bridge: 'soak3', isGateway: true, ipam: hostLocal({ subnet: '10.46.0.0/29' }) }),
    5,
  ),
  network(bridge('layer2', { bridge: 'soak4', macspoofchk: true })),
];
