import type { Call } from '../../shared/cni/plugin.ts';
import { firstClaimable } from '../../shared/ipam/blocks.ts';
import { choosePools, describeTrail } from '../../shared/ipam/choose.ts';
import { askerFor, type ClusterIpamConfig, parseClusterIpam } from '../../shared/ipam/config.ts';
import { countFree, type OwnBlock, ownBlocks } from '../../shared/ipam/give.ts';
import {
  type IpamNode,
  poolsOf,
  reservationsOf,
  seedOf,
  withNode,
  withRemote,
} from '../../shared/ipam/node.ts';
import type { NodeState } from '../../shared/ipam/node-state.ts';
import { spanOf } from '../../shared/ipam/ranges.ts';
import { readResolvConf } from '../../shared/ipam/resolv-conf.ts';
import { blockCidr, syncNode } from '../../shared/ipam/sync.ts';
import { parseAddress } from '../../shared/kernel/address-math.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { spanHolds } from '../../shared/store/reservations/spans.ts';
import type { ReservationStore, StoreOptions } from '../../shared/store/reservations/store.ts';
import {
  asUnavailable,
  checkWritable,
  probe,
  unavailable,
} from '../../shared/store/reservations/writable.ts';

/**
 * STATUS: an ADD could get an address of every family wanted. While the node's blocks have some left, nothing remote is
 * asked; else the datastore must be there and have a block to claim. Throws CniError 50 with the reason; 7 for wrong
 * input, 11 when a lock stays taken.
 */
export const status = async ({ config }: Call, options: StoreOptions = {}): Promise<void> => {
  const cluster = parseClusterIpam(config);
  const node = { ...cluster.node, options: { deadlineMs: 5000, ...options } };
  const place = reservationsOf(node);
  await asUnavailable(async () => {
    if (cluster.resolvConf !== undefined) readResolvConf(cluster.resolvConf);
    if (!existsSync(place.directory)) checkWritable(place.directory);
    const isReady = await withNode(node, (store, state) => {
      checkWritable(place.directory);
      probe(place);
      return state.confirmedAt > 0 && emptyFamilies(cluster, store, state).length === 0;
    });
    if (!isReady) await checkClaimable(cluster, node);
  });
};

/** The families that the node's own blocks have no address of, with the pools that could give one. */
const emptyFamilies = (cluster: ClusterIpamConfig, store: ReservationStore, state: NodeState) => {
  const { pools, refused } = poolsOf(cluster.node, state);
  // A pool for certain namespaces may be all there is: that no pod in particular asks is no reason to refuse.
  const general = choosePools(pools, askerFor(cluster));
  const usable = general.pools.length > 0 ? general.pools : pools.filter(({ disabled }) => !disabled);
  const present = ([4, 6] as const).filter((family) => usable.some(({ cidr }) => cidr.family === family));
  const families = cluster.families ?? present;
  if (families.length === 0) {
    const reasons = refused.map(({ error }) => error.message).join('; ');
    throw unavailable(`no pool can be used: ${describeTrail(general.trail)}`, reasons || 'Add a pool.');
  }
  return families
    .map((family) => ({ family, pools: usable.filter(({ cidr }) => cidr.family === family) }))
    .filter(({ pools: own }) => !hasAddress(cluster, store, state, ownBlocks(state, own)));
};

/** An address is free, or is a leak that an ADD would reclaim. */
const hasAddress = (
  { node }: ClusterIpamConfig,
  store: ReservationStore,
  state: NodeState,
  blocks: OwnBlock[],
): boolean => {
  if (countFree(store, state, blocks, node.ownSubnet) > 0) return true;
  const isHere = (text: string): boolean => {
    const address = parseAddress(text);
    return address !== undefined && blocks.some(({ cidr }) => spanHolds(spanOf(cidr), address));
  };
  return store.stale(({ address }) => isHere(address), 1).length > 0;
};

const checkClaimable = async (cluster: ClusterIpamConfig, node: IpamNode): Promise<void> => {
  await withRemote(
    node,
    async (datastore) => {
      const view = await syncNode(node, datastore);
      const empty = await withNode(node, (store, state) => emptyFamilies(cluster, store, state));
      const taken = view.blocks.flatMap((record) => {
        const block = blockCidr(record);
        return block === undefined ? [] : [spanOf(block)];
      });
      const full = empty.find(({ pools }) =>
        pools.every((pool) => firstClaimable(pool, seedOf(node), taken, node.ownSubnet) === undefined),
      );
      if (full === undefined) return;
      throw unavailable(
        `no free IPv${full.family} address: the blocks of this node are full, and every block of its pools is claimed`,
        'Add a pool, enlarge one, or return blocks of nodes that are gone.',
      );
    },
    node.options,
  );
};
