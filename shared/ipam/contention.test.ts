import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hasProblem } from '../store/datastore/datastore.ts';
import { SimulatedCluster } from './simulation.ts';

const nodes = Number(process.env.PODWIRE_IPAM_NODES ?? 60);
const each = Number(process.env.PODWIRE_IPAM_ADDRESSES ?? 40);
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

test(`${nodes} nodes take ${each} addresses each at once, with delays, lost answers and cut links`, {
  timeout: 600_000,
}, async () => {
  const directory = mkdtempSync(join(scratch, 'podwire-contention-'));
  try {
    const cluster = new SimulatedCluster(directory);
    // Barely more blocks than are needed, so that the last ones are fought for.
    const blocks = 2 ** Math.ceil(Math.log2(nodes * Math.ceil(each / 8 + 2)));
    await cluster.putPool('v4', { cidr: `10.0.0.0/${29 - Math.log2(blocks)}`, blockSize: 29 });
    const given = new Map<string, string>();
    let failures = 0;
    const take = async (name: string, container: string): Promise<void> => {
      const node = cluster.node(name);
      for (let attempt = 0; ; attempt++) {
        node.link.isCut = Math.random() < 0.05;
        node.link.losesAnswerEvery = Math.random() < 0.2 ? 2 : 0;
        node.link.delayMs = 3;
        try {
          const [address = ''] = await node.add(container);
          expect(given.get(address), `${address} is given twice`).toBeUndefined();
          given.set(address, `${name}/${container}`);
          return;
        } catch (error) {
          // As a runtime does: tried again until it succeeds.
          if (!hasProblem((error as Error).cause, 'unavailable') || attempt > 100) throw error;
          failures++;
        }
      }
    };
    await Promise.all(
      Array.from({ length: nodes }, async (_, node) => {
        for (let container = 0; container < each; container++) await take(`n${node}`, `c${container}`);
      }),
    );
    expect(given.size).toBe(nodes * each);
    expect(failures).toBeGreaterThan(0);
    const records = await cluster.datastore.list('blocks/');
    const owners = new Map(records.map(({ value }) => [value.cidr, value.node]));
    for (const [address, holder] of given) {
      const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
      const base = value - (value % 8);
      const cidr = `${[24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join('.')}/29`;
      expect(owners.get(cidr)).toBe(holder.split('/')[0]);
    }
    for (let node = 0; node < nodes; node++) {
      const one = cluster.node(`n${node}`);
      Object.assign(one.link, { isCut: false, losesAnswerEvery: 0, delayMs: 0 });
      await one.collect([]);
      await one.maintain();
    }
    // Each node keeps one empty block, and nothing else is left of all that.
    expect(await cluster.datastore.list('blocks/')).toHaveLength(nodes);
    expect(await cluster.datastore.list('addresses/')).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
