import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { contend, contendedPool } from '../../shared/ipam/contention.ts';
import { SimulatedCluster } from '../../shared/ipam/simulation.ts';
import { createEtcdDatastore } from '../../shared/store/datastore/etcd.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';

// The proof at full size: PODWIRE_IPAM_NODES=200 PODWIRE_IPAM_ADDRESSES=100 PODWIRE_IPAM_BLOCK=64.
const contention = {
  nodes: Number(process.env.PODWIRE_IPAM_NODES ?? 40),
  each: Number(process.env.PODWIRE_IPAM_ADDRESSES ?? 30),
  block: Number(process.env.PODWIRE_IPAM_BLOCK ?? 8),
  patienceMs: 300_000,
};

test(`${contention.nodes} nodes take ${contention.each} addresses each out of a real etcd that is killed meanwhile`, {
  timeout: 1_800_000,
}, async (context) => {
  skipFor(context, lackingEtcd());
  await using server = await EtcdServer.start();
  const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const directory = mkdtempSync(join(scratch, 'podwire-contention-'));
  const datastore = createEtcdDatastore({ ...server.options, prefix: '/contention' });
  let restarts = 0;
  let restarting: Promise<void> = Promise.resolve();
  const wanted = contention.nodes * contention.each;
  try {
    const cluster = new SimulatedCluster(directory, datastore);
    await cluster.putPool('v4', contendedPool(contention));
    const { failures } = await contend(cluster, {
      ...contention,
      progress: (given) => {
        if (given % Math.ceil(wanted / 5) !== 0) return;
        restarts++;
        restarting = restarting.then(async () => {
          await server.kill();
          server.resume();
          await server.ready();
        });
      },
    });
    await restarting;
    expect(failures).toBeGreaterThan(0);
    expect(restarts).toBeGreaterThan(2);
  } finally {
    await restarting.catch(() => {});
    datastore.close();
    rmSync(directory, { recursive: true });
  }
});
