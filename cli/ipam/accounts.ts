import type { IpamNode } from '../../shared/ipam/node.ts';
import { addressValue, blockValue } from '../../shared/ipam/sync.ts';
import { bitsOf, formatCidr } from '../../shared/kernel/address-math.ts';
import type { LocalView, RemoteView } from './observe.ts';

/** A pool's use in the whole cluster. Numbers of IPv6 pools can be more than a float tells exactly; they are for people. */
export interface PoolAccount {
  pool: string;
  cidr: string;
  disabled: boolean;
  /** Blocks that nodes have, and how many there are in all. */
  claimed: number;
  blocks: number;
  nodes: number;
  fixed: number;
}

export interface NodeAccount {
  node: string;
  network: string;
  pool: string;
  cidrs: string[];
  isMissing: boolean;
  /** Only of this node it is known which addresses are in use. */
  size?: number;
  free?: number;
}

export interface PodAccount {
  address: string;
  node: string;
  containerId: string;
  ifname: string;
  /** `fixed`, `kept until …`, or nothing. */
  note: string;
}

export const poolAccounts = ({ pools, blocks, addresses }: RemoteView): PoolAccount[] =>
  pools.map(({ name, cidr, blockSize, disabled }) => {
    const own = blocks.filter((record) => blockValue(record).pool === name);
    return {
      pool: name,
      cidr: formatCidr(cidr),
      disabled,
      claimed: own.length,
      blocks: 2 ** Math.min(blockSize - cidr.prefixLength, bitsOf(cidr.family)),
      nodes: new Set(own.map((record) => blockValue(record).node)).size,
      fixed: addresses.filter((record) => addressValue(record).pool === name).length,
    };
  });

export const nodeAccounts = (ipam: IpamNode, { blocks }: RemoteView, local: LocalView): NodeAccount[] => {
  const groups = Map.groupBy(blocks, (record) => {
    const { node, network, pool } = blockValue(record);
    return `${node}\n${network}\n${pool}`;
  });
  return [...groups.values()].map((records) => {
    const values = records.map(blockValue);
    const { node = '', network = '', pool = '' } = values[0] ?? {};
    const own = local.blocks.filter((block) => block.pool === pool);
    const isHere = node === ipam.node && network === ipam.network;
    return {
      node,
      network,
      pool,
      cidrs: values.map(({ cidr }) => cidr),
      isMissing: values.some(({ missingSince }) => missingSince !== undefined),
      ...(isHere
        ? {
            size: own.reduce((sum, { size }) => sum + size, 0),
            free: own.reduce((sum, { free }) => sum + free, 0),
          }
        : {}),
    };
  });
};

export const podAccounts = (ipam: IpamNode, { addresses }: RemoteView, { held }: LocalView): PodAccount[] => {
  const values = addresses.map(addressValue);
  const here = held.map(({ address, containerId, ifname, isStale }) => {
    const fixed = values.find((value) => value.address === address && value.containerId === containerId);
    const pod = fixed === undefined ? '' : ['fixed', fixed.key ?? fixed.pod ?? ''].join(' ').trimEnd();
    return { address, node: ipam.node, containerId, ifname, note: isStale ? 'leak of an earlier boot' : pod };
  });
  const elsewhere = values
    .filter(
      ({ address, containerId }) =>
        !held.some((each) => each.address === address && each.containerId === containerId),
    )
    .map(({ address, node, containerId = '', ifname = '', key, releasedAt }) => ({
      address,
      node,
      containerId,
      ifname,
      note:
        containerId === ''
          ? `kept for ${key ?? 'nobody'} since ${releasedAt ?? ''}`
          : `fixed ${key ?? ''}`.trimEnd(),
    }));
  return [...here, ...elsewhere];
};
