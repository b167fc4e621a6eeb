import { heldUntil } from '../../shared/ipam/fixed.ts';
import type { IpamNode } from '../../shared/ipam/node.ts';
import { addressValue, blockValue, isOwn } from '../../shared/ipam/sync.ts';
import { contains, formatCidr, parseAddress } from '../../shared/kernel/address-math.ts';
import type { BlockUse, LocalView, RemoteView } from './observe.ts';

/** A pool's use in the whole cluster. Counts of IPv6 pools can be more than a float tells exactly; they are for people. */
export interface PoolAccount {
  pool: string;
  cidr: string;
  disabled: boolean;
  /** How many blocks nodes have, and how many there are in all; null where the datastore was not reached. */
  claimed: number | null;
  blocks: number;
  nodes: number | null;
  /** Fixed and sticky addresses, and how many of them are only kept. */
  fixed: number | null;
  kept: number | null;
}

/** A node's blocks of one pool. */
export interface NodeAccount {
  node: string;
  network: string;
  pool: string;
  cidrs: string[];
  /** Since when the node is known to be gone. */
  missingSince?: string;
  /** What follows is known of this node only: how many addresses its blocks can give, and how many are free. */
  size?: number;
  free?: number;
  blocks?: BlockUse[];
}

export interface PodAccount {
  address: string;
  node: string;
  pool: string;
  /** Empty while an address is only kept. */
  containerId: string;
  ifname: string;
  /** `<namespace>/<name>`; empty where nothing tells. */
  pod: string;
  /** `dynamic`: any one of a block. `fixed`: asked for. `sticky`: kept for a key after its container is gone. */
  kind: 'dynamic' | 'fixed' | 'sticky';
  key?: string;
  holdSeconds?: number;
  /** Until when it is kept, where no container has it. */
  keptUntil?: string;
  /** It is held by a container of an earlier boot. */
  isStale?: true;
}

export const poolAccounts = ({ pools, blocks, addresses }: RemoteView, isReached: boolean): PoolAccount[] =>
  pools.map(({ name, cidr, blockSize, disabled }) => {
    const own = blocks.map(blockValue).filter(({ pool }) => pool === name);
    const fixed = addresses.map(addressValue).filter(({ pool }) => pool === name);
    const known = (count: number): number | null => (isReached ? count : null);
    return {
      pool: name,
      cidr: formatCidr(cidr),
      disabled,
      claimed: known(own.length),
      blocks: 2 ** (blockSize - cidr.prefixLength),
      nodes: known(new Set(own.map(({ node }) => node)).size),
      fixed: known(fixed.length),
      kept: known(fixed.filter(({ containerId }) => containerId === undefined).length),
    };
  });

/** This node's blocks are as the node itself knows them, also where the datastore was not reached. */
export const nodeAccounts = (ipam: IpamNode, { blocks }: RemoteView, local: LocalView): NodeAccount[] => {
  const others = Map.groupBy(
    blocks.filter((record) => !isOwn(ipam, record)).map(blockValue),
    ({ node, network, pool }) => `${node}\n${network}\n${pool}`,
  );
  const here = [...Map.groupBy(local.blocks, ({ pool }) => pool)].map(([pool, own]) => ({
    node: ipam.node,
    network: ipam.network,
    pool,
    cidrs: own.map(({ cidr }) => cidr),
    size: own.reduce((sum, { size }) => sum + size, 0),
    free: own.reduce((sum, { free }) => sum + free, 0),
    blocks: own,
  }));
  const elsewhere = [...others.values()].map((values) => {
    const { node = '', network = '', pool = '' } = values[0] ?? {};
    const since = values.map(({ missingSince }) => missingSince).find((time) => time !== undefined);
    return {
      node,
      network,
      pool,
      cidrs: values.map(({ cidr }) => cidr),
      ...(since === undefined ? {} : { missingSince: since }),
    };
  });
  return [...here, ...elsewhere].sort((a, b) => compare(a.node, b.node) || compare(a.pool, b.pool));
};

export const podAccounts = (
  ipam: IpamNode,
  { addresses, pools }: RemoteView,
  { held, state }: LocalView,
  names: ReadonlyMap<string, string>,
): PodAccount[] => {
  const values = addresses.map(addressValue);
  const here = held.map(({ address, containerId, ifname, isStale }): PodAccount => {
    const fixed =
      values.find((value) => value.address === address && value.containerId === containerId) ??
      (state.fixed[address]?.containerId === containerId ? state.fixed[address] : undefined);
    return {
      address,
      node: ipam.node,
      pool: fixed?.pool ?? poolOf(pools, address),
      containerId,
      ifname,
      pod: names.get(containerId) ?? '',
      ...kindOf(fixed),
      ...(isStale ? { isStale } : {}),
    };
  });
  const elsewhere = values
    .filter(({ address, node, containerId }) => {
      const mine = held.find((each) => each.address === address);
      return mine === undefined || mine.containerId !== containerId || node !== ipam.node;
    })
    .map((value): PodAccount => {
      const { address, node, pool, containerId = '', ifname = '', pod = '' } = value;
      const kept = containerId === '' ? { keptUntil: new Date(heldUntil(value)).toISOString() } : {};
      return { address, node, pool, containerId, ifname, pod, ...kindOf(value), ...kept };
    });
  return [...here, ...elsewhere].sort((a, b) => compareAddresses(a.address, b.address));
};

const kindOf = (
  fixed: { key?: string; holdSeconds?: number } | undefined,
): Pick<PodAccount, 'kind' | 'key' | 'holdSeconds'> => {
  if (fixed === undefined) return { kind: 'dynamic' };
  const { key, holdSeconds } = fixed;
  if (key === undefined) return { kind: 'fixed' };
  return { kind: 'sticky', key, ...(holdSeconds === undefined ? {} : { holdSeconds }) };
};

const poolOf = (pools: RemoteView['pools'], text: string): string => {
  const address = parseAddress(text);
  if (address === undefined) return '';
  return pools.find(({ cidr }) => contains(cidr, address))?.name ?? '';
};

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** IPv4 before IPv6, and by value. */
const compareAddresses = (a: string, b: string): number => {
  const [first, second] = [parseAddress(a), parseAddress(b)];
  if (first === undefined || second === undefined) return compare(a, b);
  if (first.family !== second.family) return first.family - second.family;
  return first.value < second.value ? -1 : first.value > second.value ? 1 : 0;
};
