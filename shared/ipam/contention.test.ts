import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { contend, contendedPool } from './contention.ts';
import { SimulatedCluster } from './simulation.ts';

const contention = { nodes: 60, each: 40, block: 8, patienceMs: 60_000 };

test('sixty nodes take forty addresses each at once, with delays, lost answers and cut links', {
  timeout: 300_000,
}, async () => {
  const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const directory = mkdtempSync(join(scratch, 'podwire-contention-'));
  try {
    const cluster = new SimulatedCluster(directory);
    await cluster.putPool('v4', contendedPool(contention));
    const { failures } = await contend(cluster, contention);
    expect(failures).toBeGreaterThan(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
