import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CniError } from '../cni/errors.ts';
import { parseAddress } from '../kernel/address-math.ts';
import { spanHolds } from '../store/reservations/spans.ts';
import { firstClaimable } from './blocks.ts';
import { parsePools } from './pool.ts';
import { parseSpan, spanOf } from './ranges.ts';
import { SimulatedCluster, type Wish } from './simulation.ts';
import { blockCidr } from './sync.ts';

/**
 * The allocator against a plain model: who has which address. Whatever is done to nodes, pools and the way to the
 * datastore, no address is had by two, and in the end none is lost.
 */
const nodes = ['n1', 'n2', 'n3'] as const;
type NodeName = (typeof nodes)[number];

type Step =
  | { do: 'add'; node: NodeName; container: number; wish: Wish }
  | { do: 'del'; node: NodeName; container: number }
  | { do: 'collect'; node: NodeName }
  | { do: 'maintain'; node: NodeName }
  | { do: 'cut'; node: NodeName; isCut: boolean }
  | { do: 'lose answers'; node: NodeName; every: number }
  | { do: 'leave'; node: NodeName }
  | { do: 'come back'; node: NodeName }
  | { do: 'reboot'; node: NodeName }
  | { do: 'wait'; minutes: number }
  | { do: 'pool'; name: string; value: Record<string, unknown> };

const node = fc.constantFrom(...nodes);
const container = fc.nat({ max: 30 });
const wish: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({}) },
  {
    weight: 2,
    arbitrary: fc.record({ sticky: fc.constantFrom('s1', 's2', 's3'), holdSeconds: fc.constantFrom(0, 600) }),
  },
  { weight: 2, arbitrary: fc.nat({ max: 63 }).map((last) => ({ requested: `10.0.0.${last}` })) },
  {
    weight: 1,
    arbitrary: fc.record({
      requested: fc.nat({ max: 63 }).map((last) => `10.0.0.${last}`),
      sticky: fc.constantFrom('s1', 's2'),
    }),
  },
);
const pool = fc.oneof(
  fc.record({
    name: fc.constant('main'),
    value: fc.record({
      cidr: fc.constantFrom('10.0.0.0/26', '10.0.0.0/27', '10.0.0.0/25'),
      blockSize: fc.constantFrom(29, 28, 30),
      disabled: fc.constantFrom(false, false, false, true),
      excluded: fc.constantFrom([], ['10.0.0.8-10.0.0.11'], ['10.0.0.16/29']),
    }),
  }),
  fc.record({
    name: fc.constant('other'),
    value: fc.record({ cidr: fc.constantFrom('10.1.0.0/28', '10.0.0.64/26'), blockSize: fc.constant(29) }),
  }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: fc.record({ do: fc.constant('add' as const), node, container, wish }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('del' as const), node, container }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('collect' as const), node }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('maintain' as const), node }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('cut' as const), node, isCut: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('lose answers' as const),
      node,
      every: fc.constantFrom(0, 1, 2, 3),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('come back' as const), node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reboot' as const), node }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), minutes: fc.constantFrom(2, 25, 40, 70) }),
  },
  { weight: 3, arbitrary: pool.map((edit) => ({ do: 'pool' as const, ...edit })) },
);

interface Holding {
  node: NodeName;
  container: string;
  addresses: string[];
  /** Of those that were given for a key: a container can have several, each by another key. */
  keys: Record<string, string>;
}

class Model {
  readonly cluster: SimulatedCluster;
  /** The nodes that are in the cluster's list. */
  readonly present = new Set<NodeName>(nodes);
  /** Who has what; without those whose block was reclaimed, or whose key was used elsewhere. */
  holdings: Holding[] = [];

  constructor(cluster: SimulatedCluster) {
    this.cluster = cluster;
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'add':
        return this.#add(step.node, `c${step.container}`, step.wish);
      case 'del':
        await this.cluster.node(step.node).del(`c${step.container}`);
        this.#forget(({ node, container }) => node === step.node && container === `c${step.container}`);
        return;
      case 'collect': {
        this.#forget(({ node, addresses }) => node === step.node && addresses.length === 0);
        const valid = this.holdings
          .filter(({ node }) => node === step.node)
          .map(({ container }) => container);
        await this.cluster.node(step.node).collect(valid);
        return;
      }
      case 'maintain':
        return this.maintain(step.node);
      case 'cut':
        this.cluster.node(step.node).link.isCut = step.isCut;
        return;
      case 'lose answers':
        this.cluster.node(step.node).link.losesAnswerEvery = step.every;
        return;
      case 'leave':
        this.present.delete(step.node);
        return;
      case 'come back':
        this.present.add(step.node);
        return;
      case 'reboot':
        this.cluster.node(step.node).reboot();
        // A container of the same name finds what was had before, with its key, until it is collected.
        this.#forfeit((_, { node }) => node === step.node);
        return;
      case 'wait':
        this.cluster.now += step.minutes * 60_000;
        return;
      case 'pool':
        await this.cluster.putPool(step.name, step.value as never);
        return;
    }
  }

  /** What is reclaimed of a node that is gone is no longer its containers'. */
  async maintain(name: NodeName): Promise<void> {
    const before = await this.#blocks();
    await this.cluster
      .node(name)
      .maintain([...this.present])
      .catch(expectCniError);
    const after = new Set((await this.#blocks()).map(({ path }) => path));
    const records = await this.cluster.datastore.list('addresses/');
    for (const { path, value } of before) {
      if (after.has(path) || value.node === name) continue;
      this.#forfeit((address, holder) => holder.node === value.node && isIn(String(value.cidr), address));
    }
    this.#forfeit((address, holder) => {
      const record = records.find(({ value }) => value.address === address);
      const isGone = !this.present.has(holder.node) && holder.node !== name;
      return (
        isGone &&
        record?.value.containerId !== holder.container &&
        !this.#isInBlockOf(before, holder.node, address)
      );
    });
  }

  async #add(name: NodeName, container: string, wish: Wish): Promise<void> {
    const known = this.holdings.find((holding) => holding.node === name && holding.container === container);
    const had = known?.addresses.length === 0 ? undefined : known;
    let given: string[];
    try {
      given = await this.cluster.node(name).add(container, wish);
    } catch (error) {
      expectCniError(error);
      // Whoever comes with a key has it, also when an answer was lost: the pod is no longer where it was.
      if (wish.sticky !== undefined) {
        if (had !== undefined) for (const address of had.addresses) had.keys[address] ??= wish.sticky;
        this.#forfeit(
          (address, holder) =>
            holder.keys[address] === wish.sticky && (holder.node !== name || holder.container !== container),
        );
      }
      if (
        error instanceof CniError &&
        error.code === 102 &&
        wish.requested === undefined &&
        had === undefined
      ) {
        await this.#expectFull(error);
      }
      return;
    }
    expect(given).toHaveLength(1);
    // A key names one pod: what another container has by it goes over.
    if (wish.sticky !== undefined) {
      this.#forfeit(
        (address, holder) =>
          holder.keys[address] === wish.sticky && given.includes(address) && holder.container !== container,
      );
      this.#forfeit(
        (address, holder) =>
          holder.keys[address] === wish.sticky && given.includes(address) && holder.node !== name,
      );
    }
    const others = this.holdings.filter(
      (holding) => holding.node !== name || holding.container !== container,
    );
    for (const address of given) {
      const holder = others.find(({ addresses }) => addresses.includes(address));
      expect(holder, `${address}, given to ${name}/${container}, has a holder`).toBeUndefined();
      expect(neverGiven).not.toContain(address);
      if (wish.requested !== undefined) expect(address).toBe(wish.requested);
    }
    if (had !== undefined && wish.requested === undefined && wish.sticky === undefined)
      expect(had.addresses).toEqual(expect.arrayContaining(given));
    const addresses = [...new Set([...(had?.addresses ?? []), ...given])];
    const keys = { ...known?.keys };
    if (wish.sticky !== undefined) for (const address of given) keys[address] = wish.sticky;
    this.holdings = [...others, { node: name, container, addresses, keys }];
  }

  /** Nobody is refused for want of addresses while there is a block to claim. */
  async #expectFull(error: CniError): Promise<void> {
    if (!error.message.startsWith('no free')) return;
    const taken = (await this.#blocks()).flatMap((record) => {
      const cidr = blockCidr(record);
      return cidr === undefined ? [] : [spanOf(cidr)];
    });
    const records = await this.cluster.datastore.list('pools/');
    const { pools } = parsePools(records.map(({ path, value }) => ({ name: path.slice(6), value })));
    for (const each of pools) {
      if (!each.disabled) expect(firstClaimable(each, 'any', taken, false)).toBeUndefined();
    }
  }

  #blocks() {
    return this.cluster.datastore.list('blocks/');
  }

  #isInBlockOf(
    blocks: Awaited<ReturnType<Model['maintain']>> | { value: Record<string, unknown> }[],
    name: string,
    address: string,
  ): boolean {
    return (blocks as { value: Record<string, unknown> }[]).some(
      ({ value }) => value.node === name && isIn(String(value.cidr), address),
    );
  }

  #forget(isGone: (holding: Holding) => boolean): void {
    this.holdings = this.holdings.filter((holding) => !isGone(holding));
  }

  #forfeit(isLost: (address: string, holder: Holding) => boolean): void {
    // What remains without an address still has its keys: perhaps nobody else took it over, and it is given again.
    this.holdings = this.holdings.map((holding) => ({
      ...holding,
      addresses: holding.addresses.filter((address) => !isLost(address, holding)),
    }));
  }
}

/** The networks' own addresses and gateways, whatever their size. */
const neverGiven = ['10.0.0.0', '10.0.0.1', '10.1.0.0', '10.1.0.1', '10.1.0.15'];

const isIn = (cidr: string, text: string): boolean => {
  const span = parseSpan(cidr);
  const address = parseAddress(text);
  return span !== undefined && address !== undefined && spanHolds(span, address);
};

const expectCniError = (error: unknown): void => {
  if (!(error instanceof CniError)) throw error;
  expect([7, 11, 102]).toContain(error.code);
};

/** When all is gone and everybody could tell, everything can be had again. */
const expectNothingLost = async (model: Model): Promise<void> => {
  const { cluster } = model;
  for (const name of nodes) {
    const each = cluster.node(name);
    each.link.isCut = false;
    each.link.losesAnswerEvery = 0;
    model.present.add(name);
    await each.collect([]);
  }
  await cluster.putPool('main', { cidr: '10.0.0.0/25', blockSize: 29, disabled: true });
  const other = await cluster.datastore.get('pools/other');
  if (other !== undefined) await cluster.datastore.replace(other, { ...other.value, disabled: true });
  for (let round = 0; round < 2; round++) {
    cluster.now += 3_600_000;
    for (const name of nodes) await cluster.node(name).maintain([...nodes]);
  }
  expect(await cluster.datastore.list('blocks/')).toEqual([]);
  expect(await cluster.datastore.list('addresses/')).toEqual([]);
  if (other !== undefined)
    await cluster.datastore.remove((await cluster.datastore.get('pools/other')) as never);
  await cluster.putPool('main', { cidr: '10.0.0.0/25', blockSize: 29 });
  cluster.now += 60_000;
  const given = new Set<string>();
  for (let index = 0; index < 125; index++) given.add(String(await cluster.node('n1').add(`last${index}`)));
  expect(given.size).toBe(125);
};

/** In memory where possible: the state is written with fsync, which is not what is tried here. */
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const runs = Number(process.env.PODWIRE_IPAM_RUNS ?? 15);
/** One that is known, so that a run of all tests fails only for what was changed; `random` looks for what is not. */
const seedWanted = process.env.PODWIRE_IPAM_SEED ?? '1';
const seed = seedWanted === 'random' ? Date.now() | 0 : Number(seedWanted);

test('no address is had by two, and none is lost', { timeout: Math.max(240_000, runs * 4000) }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), async (steps) => {
      const directory = mkdtempSync(join(scratch, 'podwire-model-'));
      try {
        const cluster = new SimulatedCluster(directory);
        await cluster.putPool('main', { cidr: '10.0.0.0/26', blockSize: 29 });
        const model = new Model(cluster);
        for (const each of steps) await model.run(each);
        await expectNothingLost(model);
      } finally {
        rmSync(directory, { recursive: true });
      }
    }),
    {
      ...{ numRuns: runs, seed, endOnFailure: true },
      ...{ interruptAfterTimeLimit: Math.max(200_000, runs * 3500), markInterruptAsFailure: false },
    },
  );
});
