import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Datastore, DatastoreError } from '../store/datastore/datastore.ts';
import { createMemoryDatastore } from '../store/datastore/memory.ts';
import { obtain } from './obtain.ts';
import { SimulatedCluster } from './simulation.ts';

/**
 * What must hold whatever happens between two calls to the datastore. Chance rarely finds these moments; here another
 * node acts exactly then.
 */
type Call = 'list' | 'create' | 'replace' | 'remove';

/** Gets the call, to be made now, later or never. */
type Interruption = (run: () => Promise<unknown>) => Promise<unknown>;

/** A datastore of which the next call of a kind can be interrupted. */
class InterruptedDatastore {
  #next: { call: Call; prefix: string; body: Interruption } | undefined;
  readonly datastore: Datastore;

  constructor(inner: Datastore) {
    const pass = <T>(call: Call, path: string, run: () => Promise<T>): Promise<T> => {
      const next = this.#next;
      if (next === undefined || next.call !== call || !path.startsWith(next.prefix)) return run();
      this.#next = undefined;
      return next.body(run) as Promise<T>;
    };
    this.datastore = {
      ...inner,
      list: (prefix) => pass('list', prefix, () => inner.list(prefix)),
      create: (path, value) => pass('create', path, () => inner.create(path, value)),
      replace: (known, value) => pass('replace', known.path, () => inner.replace(known, value)),
      remove: (known) => pass('remove', known.path, () => inner.remove(known)),
    };
  }

  interrupt(call: Call, prefix: string, body: Interruption): void {
    this.#next = { call, prefix, body };
  }

  /** Runs `body` when a call was answered, before the caller goes on. */
  after(call: Call, prefix: string, body: () => Promise<unknown>): void {
    this.interrupt(call, prefix, async (run) => {
      const result = await run();
      await body();
      return result;
    });
  }

  before(call: Call, prefix: string, body: () => Promise<unknown>): void {
    this.interrupt(call, prefix, async (run) => {
      await body();
      return run();
    });
  }

  /** The next such call is not answered; it arrives when what this returns is called. */
  delay(call: Call, prefix: string): () => Promise<unknown> {
    let arrive: (() => Promise<unknown>) | undefined;
    this.interrupt(call, prefix, async (run) => {
      arrive = run;
      throw new DatastoreError('unavailable', 'nothing was heard');
    });
    return () => {
      if (arrive === undefined) throw new Error(`there was no ${call} of ${prefix}`);
      return arrive();
    };
  }

  get isInterrupted(): boolean {
    return this.#next === undefined;
  }
}

const pool = { cidr: '10.0.0.0/26', blockSize: 28 };
const hour = 3_600_000;
let directory: string;
let way: InterruptedDatastore;
let cluster: SimulatedCluster;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'podwire-interleaving-'));
  way = new InterruptedDatastore(createMemoryDatastore());
  cluster = new SimulatedCluster(directory, way.datastore);
  await cluster.putPool('v4', pool);
});
afterEach(() => {
  rmSync(directory, { recursive: true });
  expect(way.isInterrupted, 'the moment that the test is about came').toBe(true);
});

const blocksOf = async (node: string) =>
  (await cluster.datastore.list('blocks/'))
    .filter(({ value }) => value.node === node)
    .map(({ value }) => String(value.cidr));
const records = async () => (await cluster.datastore.list('addresses/')).map(({ value }) => value);
const blockOf = (address: string | undefined): string =>
  `10.0.0.${Math.floor(Number(address?.slice('10.0.0.'.length)) / 16) * 16}/28`;

/** As many addresses as a node can have, up to `count`. */
const addUntilFull = async (node: string, count: number, prefix = 'c'): Promise<string[]> => {
  const given: string[] = [];
  for (let index = 0; index < count; index++) {
    try {
      given.push(...(await cluster.node(node).add(`${prefix}${index}`)));
    } catch (error) {
      expect(error).toMatchObject({ code: expect.toBeOneOf([11, 102]) });
      break;
    }
  }
  return given;
};

test.for([1, 2, 3])('a block goes back only when none of its addresses is in use: %i are', async (count) => {
  const node = cluster.node('n1');
  const given = await addUntilFull('n1', 40);
  const inUse = new Map<string, number>();
  const kept: [string, string][] = [];
  for (const [index, address] of given.entries()) {
    const used = inUse.get(blockOf(address)) ?? 0;
    if (used < count) {
      inUse.set(blockOf(address), used + 1);
      kept.push([`c${index}`, address]);
    } else await node.del(`c${index}`);
  }
  await node.maintain();
  expect(inUse.size).toBeGreaterThanOrEqual(3);
  expect(await blocksOf('n1')).toEqual(expect.arrayContaining([...inUse.keys()]));
  for (const [container, address] of kept) expect(await node.add(container)).toEqual([address]);
});

test('a fixed address that is made while its block is being claimed is not given by who claims', async () => {
  let fixed = '';
  way.interrupt('create', 'blocks/', async (run) => {
    // Which block it will be is known once it was asked for: one that is nobody's yet.
    const claimed = (await run()) as { path: string };
    await cluster.datastore.remove(claimed as never);
    fixed = `10.0.0.${Number(claimed.path.split('-')[3]) + 5}`;
    expect(await cluster.node('n2').add('fixed', { requested: fixed })).toEqual([fixed]);
    return run();
  });
  const given = await addUntilFull('n1', 40);
  expect(given.map(blockOf)).toContain(blockOf(fixed));
  expect(given).not.toContain(fixed);
});

test('a fixed address whose block is claimed while it is made is refused', async () => {
  let theirs: string[] = [];
  way.before('create', 'addresses/', async () => {
    theirs = await addUntilFull('n2', 61);
  });
  await expect(cluster.node('n1').add('fixed', { requested: '10.0.0.20' })).rejects.toMatchObject({
    code: 102,
    message: expect.stringContaining('node n2'),
  });
  expect(theirs).toContain('10.0.0.20');
  expect(await records()).toEqual([]);
});

test('a claim that arrives late, when a fixed address of its block was made, does not give that', async () => {
  const node = cluster.node('n1');
  const claim = way.delay('create', 'blocks/');
  await expect(node.add('a')).rejects.toMatchObject({ code: 11 });
  let fixed = '';
  way.after('list', 'addresses/', async () => {
    // Four blocks, one fixed address in each: one of them is in the block that n1 is to have.
    for (const address of ['10.0.0.5', '10.0.0.20', '10.0.0.36', '10.0.0.52'])
      await cluster.node('n2').add(address, { requested: address });
    await claim();
    const [block] = await blocksOf('n1');
    fixed = ['10.0.0.5', '10.0.0.20', '10.0.0.36', '10.0.0.52'].find(
      (address) => blockOf(address) === block,
    ) as string;
  });
  await node.maintain();
  const given = await addUntilFull('n1', 12);
  expect(given.map(blockOf)).toContain(blockOf(fixed));
  expect(given).not.toContain(fixed);
});

test('pools that are edited while a block is claimed: it does not overlap one of another size', async () => {
  let theirs: string[] = [];
  way.before('create', 'blocks/', async () => {
    await cluster.putPool('v4', { ...pool, blockSize: 27 });
    theirs = await addUntilFull('n2', 61);
  });
  await expect(cluster.node('n1').add('a')).rejects.toMatchObject({ code: 102 });
  expect(theirs).toHaveLength(61);
  expect(await blocksOf('n1')).toEqual([]);
});

test('nodes whose configurations have blocks of different sizes do not overlap', async () => {
  const take = async (name: string, blockSize: number, container: string) => {
    const node = cluster.node(name);
    const ipam = { ...node.ipam, pools: [{ name: 'v4', value: { ...pool, blockSize } }] };
    return (await obtain(ipam, node.request(container))).given;
  };
  way.before('create', 'blocks/', async () => {
    for (let index = 0; index < 61; index++) await take('n2', 27, `c${index}`);
  });
  await expect(take('n1', 28, 'a')).rejects.toMatchObject({ code: 102 });
  expect(await blocksOf('n1')).toEqual([]);
});

test('a node that comes back while its blocks are reclaimed keeps them', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  const [address] = await one.add('a');
  expect((await two.maintain(['n2'])).reclaimed.marked).toBe(1);
  cluster.now += 1.5 * hour;
  way.after('list', 'addresses/', () => one.maintain());
  expect((await two.maintain(['n2'])).reclaimed.blocks).toEqual([]);
  expect(await blocksOf('n1')).toEqual([blockOf(address)]);
});

test('nothing is reclaimed when no node is known', async () => {
  const [address] = await cluster.node('n1').add('a', { sticky: 'web-0' });
  for (let round = 0; round < 3; round++) {
    const { reclaimed } = await cluster.node('n2').maintain([]);
    expect(reclaimed).toEqual({ blocks: [], addresses: [], marked: 0 });
    cluster.now += 2 * hour;
  }
  expect(await blocksOf('n1')).toEqual([blockOf(address)]);
});

test('a release does not free what another node took over at the same time', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  const [address] = await one.add('a', { sticky: 'web-0' });
  way.after('list', 'addresses/', () => two.add('b', { sticky: 'web-0' }));
  await one.del('a');
  expect(await records()).toMatchObject([{ address, node: 'n2', containerId: 'b' }]);
});

test('two that come with the same key at once do not both have its address', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  const [address] = await one.add('a', { sticky: 'web-0' });
  await one.del('a');
  way.after('list', 'addresses/', async () => {
    expect(await two.add('b', { sticky: 'web-0' })).toEqual([address]);
  });
  await expect(one.add('c', { sticky: 'web-0' })).rejects.toMatchObject({ code: 11 });
  expect(await records()).toMatchObject([{ address, node: 'n2', containerId: 'b' }]);
});

test('a hold that is over does not end for who came back at the last moment', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  const [address] = await one.add('a', { sticky: 'web-0' });
  await one.del('a');
  cluster.now += 700_000;
  way.after('list', 'addresses/', () => two.add('b', { sticky: 'web-0' }));
  expect((await one.maintain()).expired).toBe(0);
  expect(await records()).toMatchObject([{ address, node: 'n2', containerId: 'b' }]);
});

test('an address that is kept for a key is refused to others who ask for it, until its time is over', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  const [address] = await one.add('a', { sticky: 'web-0' });
  await one.del('a');
  cluster.now += 599_000;
  for (const node of [one, two]) {
    for (const wish of [{ requested: address }, { requested: address, sticky: 'web-1' }]) {
      await expect(node.add('b', wish as { requested: string })).rejects.toMatchObject({
        code: 102,
        message: expect.stringContaining('kept for web-0'),
      });
    }
  }
  cluster.now += 2000;
  expect(await one.add('b', { requested: address as string })).toEqual([address]);
});

test('the removal of a block that arrives late does not take it from the node that has it again', async () => {
  const node = cluster.node('n1');
  await addUntilFull('n1', 14);
  for (let index = 0; index < 14; index++) await node.del(`c${index}`);
  const removal = way.delay('remove', 'blocks/');
  await expect(node.maintain()).rejects.toMatchObject({ problem: 'unavailable' });
  const given = await addUntilFull('n1', 20, 'again');
  expect(given).toHaveLength(20);
  await expect(removal()).rejects.toMatchObject({ problem: 'conflict' });
  expect(await blocksOf('n1')).toEqual(expect.arrayContaining(given.map(blockOf)));
});

test('a node that is cut off while it returns a block gives nothing of it', async () => {
  const node = cluster.node('n1');
  await addUntilFull('n1', 14);
  for (let index = 0; index < 14; index++) await node.del(`c${index}`);
  way.after('remove', 'blocks/', async () => {
    node.link.isCut = true;
    throw new DatastoreError('unavailable', 'the answer was lost');
  });
  await expect(node.maintain()).rejects.toMatchObject({ problem: 'unavailable' });
  const theirs = await addUntilFull('n2', 61);
  const ours = await addUntilFull('n1', 61, 'again');
  expect(ours.length).toBeGreaterThan(0);
  for (const address of ours) expect(theirs).not.toContain(address);
});
