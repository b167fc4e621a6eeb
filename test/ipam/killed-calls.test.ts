import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createEtcdDatastore } from '../../shared/store/datastore/etcd.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import { Ledger } from './contention/ledger.ts';
import { randomFrom } from './contention/random.ts';
import { network, type PluginNode, startCall } from './plugin-calls.ts';

// The executable itself, as a runtime calls it: many processes at once, each node with files of its own.
const nodeCount = 6;
const lanes = 6;
const podsOfLane = 6;
/** A pool of 56 blocks with 8 addresses each; 216 pods are to have addresses of it at once. */
const pool = { cidr: '10.66.0.0/23', blockSize: 29, excluded: ['10.66.1.192-10.66.1.255'] };

test('calls of the executable on six nodes are killed, as etcd is: no address twice, none lost', {
  timeout: 300_000,
}, async (context) => {
  skipFor(context, lackingEtcd());
  expectPlugins(podwireBin, 'cluster-ipam');
  const seed = Math.floor(Math.random() * 1e9);
  console.log(`seed ${seed}`);
  const random = randomFrom(seed);
  await using server = await EtcdServer.start();
  const store = createEtcdDatastore({ ...server.options, prefix: '/killed' });
  const directory = mkdtempSync(join(tmpdir(), 'podwire-killed-'));
  const { ca, cert, key } = server.options.tls;
  const datastore = {
    type: 'etcd',
    endpoints: server.endpoints,
    ca,
    cert,
    key,
    prefix: '/killed',
  };
  const nodes = Array.from(
    { length: nodeCount },
    (_, index): PluginNode => ({ name: `n${index}`, dataDir: join(directory, `n${index}`), datastore }),
  );
  const ledger = new Ledger();
  const counts = { killed: 0, failed: 0, done: 0 };
  let restarting: Promise<void> = Promise.resolve();

  /** Calls until it succeeds; every third call is killed at some time of its life, or just after it. */
  const insist = async (node: PluginNode, command: 'ADD' | 'DEL', id: string): Promise<string[]> => {
    const deadline = performance.now() + 120_000;
    while (performance.now() < deadline) {
      const { running, ended } = startCall(node, command, id);
      if (random() < 0.33) {
        await Promise.race([Bun.sleep(random() * 120), ended]);
        running.kill('SIGKILL');
      }
      const { exitCode, code, addresses, text } = await ended;
      if (exitCode === 0) return addresses;
      if (exitCode === undefined) counts.killed++;
      else if (code === 11 || code === 102) counts.failed++;
      else throw new Error(`${command} of ${id} on ${node.name}: ${text}`);
    }
    throw new Error(`${command} of ${id} on ${node.name} still fails after 120 s`);
  };

  const lane = async (node: PluginNode, index: number): Promise<void> => {
    for (let pod = 0; pod < podsOfLane; pod++) {
      const id = `pod-${index}-${pod}`;
      const [address = ''] = await insist(node, 'ADD', id);
      ledger.given(node.name, id, address);
      if (random() < 0.25) {
        ledger.freed(node.name, id);
        await insist(node, 'DEL', id);
        const [next = ''] = await insist(node, 'ADD', `${id}-again`);
        ledger.given(node.name, `${id}-again`, next);
      }
      if (++counts.done % 60 === 0) {
        restarting = restarting.then(async () => {
          await server.kill();
          server.resume();
          await server.ready();
        });
      }
    }
  };

  try {
    await store.create('pools/all', pool);
    await Promise.all(
      nodes.flatMap((node) => Array.from({ length: lanes }, (_, index) => lane(node, index))),
    );
    await restarting;
    expect(ledger.size).toBe(nodeCount * lanes * podsOfLane);
    expect(counts.killed).toBeGreaterThan(20);
    const blocks = await store.list('blocks/');
    for (const { name, dataDir } of nodes) {
      const files = readdirSync(join(dataDir, network)).filter((file) => /^10\./.test(file));
      const held = ledger.all().filter(({ node }) => node === name);
      expect(files.sort()).toEqual(held.map(({ address }) => address).sort());
      const own = blocks.filter(({ value }) => value.node === name).map(({ value }) => value.cidr);
      for (const address of files) expect(own).toContain(blockOf(address));
    }
    // All goes, and GC returns every block of a node but one.
    for (const node of nodes) {
      await Promise.all(
        ledger
          .all()
          .filter((held) => held.node === node.name)
          .map(({ container }) => insist(node, 'DEL', container)),
      );
      const { exitCode, text } = await startCall(node, 'GC', '').ended;
      expect(exitCode, text).toBe(0);
      expect(readdirSync(join(node.dataDir, network)).filter((file) => /^10\./.test(file))).toEqual([]);
    }
    const left = await store.list('blocks/');
    expect(left.length).toBe(new Set(left.map(({ value }) => value.node)).size);
  } finally {
    await restarting.catch(() => {});
    store.close();
    rmSync(directory, { recursive: true, force: true });
  }
});

const blockOf = (address: string): string => {
  const parts = address.split('.').map(Number);
  return `${parts.slice(0, 3).join('.')}.${Math.floor((parts[3] ?? 0) / 8) * 8}/29`;
};
