import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CniError } from '../../shared/cni/errors.ts';
import { SimulatedCluster } from '../../shared/ipam/simulation.ts';
import type { Datastore } from '../../shared/store/datastore/datastore.ts';
import { createEtcdDatastore } from '../../shared/store/datastore/etcd.ts';
import { createFileDatastore } from '../../shared/store/datastore/file.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';

// What becomes of pools, blocks and nodes over time, with real datastores. The nodes' clock is the test's.

const hour = 3_600_000;
const pool = { cidr: '10.0.0.0/26', blockSize: 28 };
/** Of 64 addresses three are the pool's own: network, gateway, broadcast. */
const usable = 61;

let server: EtcdServer | undefined;
beforeAll(async () => {
  if (lackingEtcd() === undefined) server = await EtcdServer.start();
});
afterAll(() => server?.[Symbol.asyncDispose]());

let prefixes = 0;
const kinds = [
  {
    kind: 'file',
    lacking: undefined,
    open: (directory: string) => createFileDatastore(join(directory, 'datastore')),
  },
  {
    kind: 'etcd',
    lacking: lackingEtcd(),
    open: () =>
      createEtcdDatastore({ ...(server as EtcdServer).options, prefix: `/lifecycle-${++prefixes}` }),
  },
];

describe.each(kinds)('over $kind', ({ lacking, open }) => {
  let directory: string;
  let datastore: Datastore | undefined;
  let cluster: SimulatedCluster;
  beforeEach(async (context) => {
    skipFor(context, lacking);
    directory = mkdtempSync(join(tmpdir(), 'podwire-lifecycle-'));
    datastore = open(directory);
    cluster = new SimulatedCluster(directory, datastore);
    await cluster.putPool('all', pool);
  });
  afterEach(() => {
    datastore?.close();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  const blocksOf = async (node: string): Promise<string[]> =>
    (await cluster.datastore.list('blocks/'))
      .filter(({ value }) => value.node === node)
      .map(({ value }) => String(value.cidr));

  /** The address, or the code of the error. */
  const tryAdd = async (node: string, container: string): Promise<string | number> => {
    try {
      const [address = ''] = await cluster.node(node).add(container);
      return address;
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      return error.code;
    }
  };

  /** ADDs on a node until its first error. */
  const fill = async (node: string, prefix: string): Promise<{ given: string[]; code: number }> => {
    const given: string[] = [];
    for (let index = 0; ; index++) {
      const answer = await tryAdd(node, `${prefix}${index}`);
      if (typeof answer === 'number') return { given, code: answer };
      given.push(answer);
    }
  };

  const expectDifferent = (addresses: readonly string[]): void =>
    expect(addresses.length).toBe(new Set(addresses).size);

  test('three nodes use up a pool together, are told so, and go on when one gives back', async () => {
    const nodes = ['n0', 'n1', 'n2'];
    const filled = await Promise.all(nodes.map((node) => fill(node, 'c')));
    const given = filled.flatMap((each) => each.given);
    expectDifferent(given);
    // Nobody stops before all there is has been given.
    expect(given.length).toBe(usable);
    expect(filled.map(({ code }) => code)).toEqual([102, 102, 102]);
    const [largest] = nodes
      .map((node, index) => ({ node, count: filled[index]?.given.length ?? 0 }))
      .toSorted((a, b) => b.count - a.count) as [{ node: string; count: number }];
    for (let index = 0; index < largest.count; index++) await cluster.node(largest.node).del(`c${index}`);
    const { returned } = await cluster.node(largest.node).maintain();
    expect(returned.length).toBeGreaterThanOrEqual(1);
    // A node that was told that all is claimed finds what is free by now.
    const others = nodes.filter((node) => node !== largest.node);
    const again = await Promise.all(others.map((node) => fill(node, 'again')));
    expect(again.flatMap((each) => each.given).length).toBeGreaterThanOrEqual(13);
    const kept = others.flatMap((node) => filled[nodes.indexOf(node)]?.given ?? []);
    expectDifferent([...kept, ...again.flatMap((each) => each.given)]);
  });

  test('a pool that grows serves who found it full; made smaller it gives nothing outside, and empties', async () => {
    const full = await fill('n1', 'c');
    expect(full.given.length).toBe(usable);
    await cluster.putPool('all', { ...pool, cidr: '10.0.0.0/25' });
    const [one, two] = await Promise.all([fill('n1', 'more'), fill('n2', 'more')]);
    const all = [...full.given, ...one.given, ...two.given];
    expectDifferent(all);
    // What was the broadcast address is one like others now, in a block that n1 has.
    expect(all.length).toBe(usable + 64);
    const outside = (address: string): boolean => Number(address.split('.')[3]) >= 64;
    await cluster.putPool('all', pool);
    for (const node of ['n1', 'n2']) await cluster.node(node).maintain();
    // What was given stays, outside too.
    const last = one.given.at(-1) as string;
    expect(await tryAdd('n1', `more${one.given.length - 1}`)).toBe(last);
    for (const [node, { given }] of [['n1', one] as const, ['n2', two] as const]) {
      for (let index = 0; index < given.length; index++) await cluster.node(node).del(`more${index}`);
      await cluster.node(node).maintain();
    }
    for (const node of ['n1', 'n2']) {
      const after = await fill(node, 'after');
      expect(after.given.filter(outside)).toEqual([]);
    }
  });

  test('while the size of blocks is changed again and again, no two nodes have an address', {
    timeout: 120_000,
  }, async () => {
    await cluster.putPool('all', { cidr: '10.0.0.0/22', blockSize: 28 });
    const held = new Map<string, string>();
    let edits: Promise<void> = Promise.resolve();
    let calls = 0;
    const run = async (node: string): Promise<void> => {
      for (let index = 0; index < 60; index++) {
        // Not awaited: the others go on while the pool is edited.
        if (++calls % 12 === 0) {
          const blockSize = 27 + ((calls / 12) % 3);
          edits = edits.then(() => cluster.putPool('all', { cidr: '10.0.0.0/22', blockSize }));
        }
        const address = await tryAdd(node, `c${index}`);
        if (typeof address === 'number') {
          // 11: the pool changed too often under this call.
          expect(address).toBe(11);
          continue;
        }
        expect(held.get(address), address).toBeUndefined();
        held.set(address, node);
      }
    };
    await Promise.all(['n0', 'n1', 'n2', 'n3', 'n4'].map(run));
    await edits;
    expect(held.size).toBeGreaterThan(200);
    const sizes = (await cluster.datastore.list('blocks/')).map(({ value }) => String(value.cidr).slice(-2));
    expect(new Set(sizes).size).toBeGreaterThan(1);
  });

  test('a block that is returned is claimed by another node, and its former node gives nothing of it', async () => {
    const { given } = await fill('n1', 'c');
    for (let index = 0; index < given.length; index++) await cluster.node('n1').del(`c${index}`);
    await cluster.node('n1').maintain();
    const [kept, ...more] = await blocksOf('n1');
    expect(more).toEqual([]);
    const { given: theirs } = await fill('n2', 'c');
    expect(await blocksOf('n2')).toHaveLength(3);
    expect(await blocksOf('n2')).not.toContain(kept);
    const { given: ours } = await fill('n1', 'again');
    expectDifferent([...theirs, ...ours]);
    expect(theirs.length + ours.length).toBe(usable);
  });

  test('blocks go to and fro between nodes that take and return at the same time: no address twice', {
    timeout: 120_000,
  }, async () => {
    const held = new Map<string, string>();
    const run = async (node: string): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        const own: { container: string; address: string }[] = [];
        for (let index = 0; index < 20; index++) {
          const container = `r${round}c${index}`;
          const address = await tryAdd(node, container);
          if (typeof address === 'number') continue;
          expect(held.get(address), address).toBeUndefined();
          held.set(address, node);
          own.push({ container, address });
          if (index % 7 === 0) await cluster.node(node).maintain();
        }
        for (const { container, address } of own) {
          held.delete(address);
          await cluster.node(node).del(container);
        }
        await cluster.node(node).maintain();
      }
    };
    await Promise.all(['n0', 'n1', 'n2', 'n3'].map(run));
    expect(held.size).toBe(0);
    expect((await cluster.datastore.list('blocks/')).length).toBeLessThanOrEqual(4);
  });

  test('a node that was thought dead comes back after its blocks went to another', async () => {
    const back = cluster.node('n1');
    const { given: old } = await fill('n1', 'old');
    back.link.isCut = true;
    const other = cluster.node('n2');
    await other.maintain(['n2']);
    cluster.now += 1.1 * hour;
    // Cut off that long, it gives nothing, as it cannot know.
    await back.del('old0');
    expect(await tryAdd('n1', 'new')).toBe(11);
    expect((await other.maintain(['n2'])).reclaimed.blocks).toHaveLength(4);
    const { given: theirs } = await fill('n2', 'c');
    expect(theirs.length).toBe(usable);
    expect(theirs).toContain(old[5]);
    back.link.isCut = false;
    // What its containers had is told to be another's, and it claims nothing where nothing is left.
    expect(await tryAdd('n1', 'old5')).toBe(102);
    expect(await tryAdd('n1', 'new')).toBe(102);
    await back.maintain(['n1', 'n2']);
    for (let index = 1; index < old.length; index++) await back.del(`old${index}`);
    await back.maintain(['n1', 'n2']);
    // Its DELs freed nothing of the other's.
    expect(await blocksOf('n2')).toHaveLength(4);
    expect(await tryAdd('n2', 'c5')).toBe(theirs[5] as string);
    await cluster.putPool('all', { ...pool, cidr: '10.0.0.0/25' });
    const { given: fresh } = await fill('n1', 'fresh');
    expect(fresh.length).toBeGreaterThan(0);
    expectDifferent([...fresh, ...theirs]);
  });

  test('a node comes back at the very moment at which it is reclaimed: one of the two has the block', {
    timeout: 120_000,
  }, async () => {
    for (let round = 0; round < 12; round++) {
      const name = `back${round}`;
      const mine = await tryAdd(name, 'c');
      await cluster.node('n2').maintain(['n2']);
      cluster.now += 1.1 * hour;
      const [again, { reclaimed }] = await Promise.all([
        Bun.sleep(Math.random() * 10).then(() => tryAdd(name, 'c')),
        cluster.node('n2').maintain(['n2']),
      ]);
      const { given } = await fill('n2', `r${round}c`);
      if (again === mine) {
        expect(given).not.toContain(mine);
      } else {
        expect(again).toBe(102);
        expect(reclaimed.blocks).toHaveLength(1);
      }
      expect(await tryAdd(name, 'c')).toBe(again);
      // All is given back for the next round.
      for (let index = 0; index < given.length; index++) await cluster.node('n2').del(`r${round}c${index}`);
      await cluster.node(name).del('c');
      for (const record of await cluster.datastore.list('blocks/')) await cluster.datastore.remove(record);
      await cluster.node('n2').maintain();
    }
  });
});
