import { expect } from 'vitest';
import { CniError } from '../cni/errors.ts';
import type { SimulatedCluster } from './simulation.ts';

export interface Contention {
  nodes: number;
  /** How many addresses each node takes. */
  each: number;
  /** Addresses in a block; a power of two. */
  block: number;
  /** How long to go on trying for one address, in ms. */
  patienceMs: number;
  /** Called after every so many addresses. */
  progress?: (given: number) => void;
}

/** A pool that has barely more blocks than are needed, so that the last ones are fought for. */
export const contendedPool = ({ nodes, each, block }: Contention): { cidr: string; blockSize: number } => {
  const blocks = 2 ** Math.ceil(Math.log2(nodes * Math.ceil(each / block + 2)));
  const blockSize = 32 - Math.log2(block);
  return { cidr: `10.0.0.0/${blockSize - Math.log2(blocks)}`, blockSize };
};

/**
 * All nodes take addresses at once, over ways to the datastore that are cut, slow, and lose answers; a test. In the end
 * all have all they wanted, none has one twice, each lies in a block of who has it, and all goes back.
 */
export const contend = async (
  cluster: SimulatedCluster,
  contention: Contention,
): Promise<{ failures: number }> => {
  const { nodes, each, patienceMs, progress } = contention;
  const given = new Map<string, string>();
  let failures = 0;
  const take = async (name: string, container: string): Promise<void> => {
    const node = cluster.node(name);
    const deadline = performance.now() + patienceMs;
    for (;;) {
      node.link.isCut = Math.random() < 0.05;
      node.link.losesAnswerEvery = Math.random() < 0.2 ? 2 : 0;
      node.link.delayMs = 3;
      try {
        const [address = ''] = await node.add(container);
        expect(given.get(address), `${address} is given twice`).toBeUndefined();
        given.set(address, `${name}/${container}`);
        progress?.(given.size);
        return;
      } catch (error) {
        // As a runtime does: tried again until it succeeds.
        if (!(error instanceof CniError) || error.code !== 11 || performance.now() > deadline) throw error;
        failures++;
        await Bun.sleep(Math.random() * 20);
      }
    }
  };
  await Promise.all(
    Array.from({ length: nodes }, async (_, node) => {
      for (let container = 0; container < each; container++) await take(`n${node}`, `c${container}`);
    }),
  );
  expect(given.size).toBe(nodes * each);
  await expectOwnBlocks(cluster, contention, given);
  for (let node = 0; node < nodes; node++) {
    const one = cluster.node(`n${node}`);
    Object.assign(one.link, { isCut: false, losesAnswerEvery: 0, delayMs: 0 });
    await one.collect([]);
    await one.maintain();
  }
  // Each node keeps one empty block, and nothing else is left of all that.
  expect(await cluster.datastore.list('blocks/')).toHaveLength(nodes);
  expect(await cluster.datastore.list('addresses/')).toEqual([]);
  return { failures };
};

const expectOwnBlocks = async (
  cluster: SimulatedCluster,
  contention: Contention,
  given: Map<string, string>,
): Promise<void> => {
  const { block } = contention;
  const { blockSize } = contendedPool(contention);
  const records = await cluster.datastore.list('blocks/', { deadlineMs: 20_000 });
  const owners = new Map(records.map(({ value }) => [value.cidr, value.node]));
  for (const [address, holder] of given) {
    const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    const base = value - (value % block);
    const cidr = `${[24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join('.')}/${blockSize}`;
    expect(owners.get(cidr)).toBe(holder.split('/')[0]);
  }
};
