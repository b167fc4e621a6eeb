import { isObject } from '../../cni/fields.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { KubernetesFailure } from '../kubernetes/failure.ts';
import type { StoredRecord } from './datastore.ts';
import { kinds } from './kubernetes-kinds.ts';

/** What `kubectl get podwirepools` shows of a pool's use. */
export type PoolStatus = {
  /** Blocks that nodes have. */
  claimedBlocks: number;
  /** Nodes that have blocks of it. */
  nodes: number;
  /** Fixed and sticky addresses of it that are in use or kept. */
  fixedAddresses: number;
};

/**
 * The use of the pools that `node` reports on: those of which it has a block and no node of a lower name has. So one
 * node writes each pool's status, nobody has to be elected, and two that differ in what they know do no harm.
 */
export const poolStatuses = (
  node: string,
  { blocks, addresses }: { blocks: StoredRecord[]; addresses: StoredRecord[] },
): Map<string, PoolStatus> => {
  const statuses = new Map<string, PoolStatus>();
  for (const pool of new Set(blocks.filter((block) => block.value.node === node).map(poolOf))) {
    const own = blocks.filter((block) => poolOf(block) === pool);
    const nodes = new Set(own.map(({ value }) => String(value.node)));
    if ([...nodes].some((other) => other < node)) continue;
    const fixedAddresses = addresses.filter((address) => poolOf(address) === pool).length;
    statuses.set(pool, { claimedBlocks: own.length, nodes: nodes.size, fixedAddresses });
  }
  return statuses;
};

/**
 * Writes the statuses that differ from what is there. A pool that is gone, or that somebody changes at the same time,
 * is left for the next time. Throws KubernetesFailure for everything else. It is for people: nothing reads it back.
 */
export const publishPoolStatuses = async (
  client: KubernetesClient,
  statuses: ReadonlyMap<string, PoolStatus>,
): Promise<void> => {
  const { resource } = kinds.pools;
  for (const [name, status] of statuses) {
    const pool = await client.get(resource, name);
    if (pool === undefined || isSame(pool.status, status)) continue;
    try {
      await client.replaceStatus(resource, { ...pool, status });
    } catch (error) {
      if (!(error instanceof KubernetesFailure) || !passing.has(error.reason)) throw error;
    }
  }
};

const poolOf = ({ value }: StoredRecord): string => String(value.pool);

const isSame = (known: unknown, status: PoolStatus): boolean =>
  isObject(known) && Object.entries(status).every(([key, count]) => known[key] === count);

const passing = new Set(['Conflict', 'NotFound']);
