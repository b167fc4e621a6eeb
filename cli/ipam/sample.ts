import type { IpamNode } from '../../shared/ipam/node.ts';
import { emptyState, type NodeState } from '../../shared/ipam/node-state.ts';
import { parsePools } from '../../shared/ipam/pool.ts';
import { blockPath } from '../../shared/ipam/record-names.ts';
import type { AddressValue, BlockValue, PoolValue } from '../../shared/ipam/records.ts';
import { parseCidr } from '../../shared/kernel/address-math.ts';
import type { StoredRecord } from '../../shared/store/datastore/datastore.ts';
import type { HeldAddress, LocalView, RemoteView } from './observe.ts';
import type { KernelView } from './observe-kernel.ts';

/** What tests of `podwire ipam` look at: node n1 of network pods, with one block of one pool. */
export const now = Date.parse('2026-05-01T12:00:00Z');

export const ipam: IpamNode = {
  node: 'n1',
  network: 'pods',
  dataDir: '/none',
  datastore: 'the directory /none',
  connect: async () => {
    throw new Error('nobody connects here');
  },
  pools: undefined,
  ownSubnet: false,
  graceMs: 3_600_000,
  now: () => now,
};

export const block = (cidr: string, more: Partial<BlockValue> = {}): StoredRecord => {
  const parsed = parseCidr(cidr);
  const value: BlockValue = { cidr, pool: 'all', node: 'n1', network: 'pods', claimedAt: '', ...more };
  return { path: parsed === undefined ? 'blocks/none' : blockPath(parsed), value, version: '1' };
};

export const fixed = (address: string, more: Partial<AddressValue> = {}): StoredRecord => ({
  path: `addresses/${address.replaceAll('.', '-')}`,
  value: { address, pool: 'all', node: 'n1', network: 'pods', ...more },
  version: '1',
});

export const held = (address: string, more: Partial<HeldAddress> = {}): HeldAddress => ({
  address,
  containerId: 'c1',
  ifname: 'eth0',
  identity: '1:0',
  bootId: 'now',
  netns: '/run/netns/c1',
  isStale: false,
  ...more,
});

export const remoteView = (
  views: Partial<Pick<RemoteView, 'blocks' | 'addresses'>> & { pools?: Record<string, PoolValue> } = {},
): RemoteView => ({
  blocks: [block('10.1.0.0/26')],
  addresses: [],
  ...views,
  ...parsePools(
    Object.entries(views.pools ?? { all: { cidr: '10.1.0.0/24' } }).map(([name, value]) => ({ name, value })),
  ),
});

export const localView = (
  addresses: HeldAddress[] = [],
  { cidrs = ['10.1.0.0/26'], ...state }: Partial<NodeState> & { cidrs?: string[] } = {},
): LocalView => ({
  isPresent: true,
  held: addresses,
  pools: remoteView().pools,
  blocks: cidrs.map((cidr) => ({
    cidr,
    pool: 'all',
    size: 61,
    free: 61 - addresses.length,
    held: addresses.length,
  })),
  state: {
    ...emptyState('n1', ipam.datastore),
    confirmedAt: now,
    blocks: cidrs.map((cidr) => ({ cidr, pool: 'all' })),
    ...state,
  },
});

/** What the kernel shows: addresses by the path of their netns, which is also its inode's place in the list. */
export const kernelView = (
  byNetns: Record<string, string[]>,
  more: Partial<Omit<KernelView, 'found'>> & { gone?: string[] } = {},
): KernelView => {
  const paths = Object.keys(byNetns);
  const { gone = [], ...others } = more;
  return {
    places: new Map<string, number | 'gone'>([
      ...paths.map((path, index) => [path, index + 1] as const),
      ...gone.map((path) => [path, 'gone'] as const),
    ]),
    found: paths.flatMap((netns, index) =>
      (byNetns[netns] ?? []).map((address) => ({ address, netns, inode: index + 1, ifname: 'eth0' })),
    ),
    elsewhere: new Set(),
    hostRoutes: [],
    devices: new Set(),
    ...others,
  };
};
