import type { ReservationStore } from '../store/reservations/store.ts';
import { type Asker, choosePools } from './choose.ts';
import { claimBlock } from './claim.ts';
import { hasMoreFree, ownBlocks } from './give.ts';
import { type IpamNode, poolsOf, withNode, withRemote } from './node.ts';
import type { NodeState } from './node-state.ts';
import type { Pool } from './pool.ts';
import { syncNode } from './sync.ts';

/** When a pool's blocks here have no more free addresses than this, an eighth of a block, the next one is claimed. */
export const lowMark = ({ cidr, blockSize }: Pool): number => {
  const bits = cidr.family === 4 ? 32 : 128;
  return Math.min(mostKeptFree, Math.max(1, 2 ** (bits - blockSize) / 8));
};

/** Of a large block it need not be an eighth: one block more is claimed within milliseconds. */
const mostKeptFree = 128;

/** The pool of a family that will need a block soon: the first one for the pod, when it has few addresses left here. */
export const runningLow = (
  ipam: IpamNode,
  store: ReservationStore,
  state: NodeState,
  asker: Asker,
): Pool[] => {
  const { pools } = choosePools(poolsOf(ipam, state).pools, asker);
  return ([4, 6] as const).flatMap((family) => {
    const suitable = pools.filter(({ cidr }) => cidr.family === family);
    const used = suitable.find((pool) => state.blocks.some((block) => block.pool === pool.name));
    if (used === undefined) return [];
    const isEnough = hasMoreFree(store, state, ownBlocks(state, [used]), ipam.ownSubnet, lowMark(used));
    return isEnough ? [] : [used];
  });
};

/** How long after a failed attempt no block is claimed ahead, in ms. */
const pauseMs = 10_000;

/** Whether a block should be claimed, or the datastore be heard from, before it is urgent. */
export const mustLookAhead = (
  ipam: IpamNode,
  store: ReservationStore,
  state: NodeState,
  asker: Asker,
): boolean =>
  ipam.now() >= state.retryAt && (isAging(ipam, state) || runningLow(ipam, store, state, asker).length > 0);

/**
 * Claims the next block before the last address is gone, and hears from the datastore before what it said is too old.
 * For an ADD that has its address already: never throws, waits for no other, and after a failure leaves it for a while.
 * Returns the pools of which a block was claimed.
 */
export const stayAhead = async (ipam: IpamNode, asker: Asker): Promise<string[]> => {
  const claimed: string[] = [];
  try {
    const isDone = await withRemote(
      ipam,
      async (datastore) => {
        const view = await syncNode(ipam, datastore);
        const low = await withNode(ipam, (store, state) => runningLow(ipam, store, state, asker));
        let isComplete = true;
        for (const pool of low) {
          const outcome = await claimBlock(ipam, datastore, pool, view);
          if (typeof outcome === 'object') claimed.push(pool.name);
          else isComplete = false;
        }
        return isComplete;
      },
      { deadlineMs: 0 },
    );
    if (!isDone) await putOff(ipam);
  } catch {
    await putOff(ipam).catch(() => {});
  }
  return claimed;
};

const isAging = ({ graceMs, now }: IpamNode, { confirmedAt }: NodeState): boolean =>
  Math.abs(now() - confirmedAt) > graceMs / 2;

const putOff = (ipam: IpamNode): Promise<void> =>
  withNode(ipam, (_, state) => {
    state.retryAt = ipam.now() + pauseMs;
  });
