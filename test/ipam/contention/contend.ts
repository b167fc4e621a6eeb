import { spanOf } from '../../../shared/ipam/ranges.ts';
import { type Address, parseAddress, parseCidr } from '../../../shared/kernel/address-math.ts';
import type { Datastore } from '../../../shared/store/datastore/datastore.ts';
import { spanHolds } from '../../../shared/store/reservations/spans.ts';
import { Ledger } from './ledger.ts';
import { Failed, Killed, NodeProcess } from './nodes.ts';
import type { DatastoreAccess, NodeWork } from './protocol.ts';
import { type Random, randomFrom } from './random.ts';

export interface Contention {
  nodes: number;
  /** How many addresses are to be in use at last, on all nodes together. */
  addresses: number;
  /** Prefix length of a block. */
  blockSize: number;
  /** How many processes the nodes are in. */
  processes: number;
  /** Pods with a sticky address, which wander from node to node. */
  wanderers: number;
  /** How often a process is killed from outside; others die in the midst of a call to the datastore. */
  kills: number;
  /** How often the datastore is killed and started again. */
  restarts: number;
  /** How long a runtime goes on trying for one pod, in seconds. */
  patience: number;
  seed: number;
}

export interface Ground {
  access: DatastoreAccess;
  /** A client that no fault befalls. */
  datastore: Datastore;
  /** SIGKILL, and a start with the same data; returns when it serves again. */
  restart: () => Promise<void>;
  /** For the nodes' files. */
  directory: string;
}

/** What happened: a run in which nothing failed would have shown little. */
export interface Course {
  adds: number;
  dels: number;
  deaths: number;
  restarts: number;
  /** Calls whose process died under them. */
  interrupted: number;
  /** Calls that failed with an error, and were made again. */
  failed: number;
  /** Those of them that found every block claimed at that moment. */
  exhausted: number;
  moves: number;
  returned: number;
  seconds: number;
}

const tryAgainLater = 11;
const addressUnavailable = 102;
/** It waits longer and longer between two tries. */
const longestPauseMs = 2000;

/**
 * All nodes take addresses out of one pool at once, give some back and take others, while processes and the datastore are
 * killed and the network between them fails. Throws as soon as an address is given twice, or a call fails for a reason
 * that is no fault's, or when in the end anything is lost, left over, or in two places differently.
 */
export const contend = async (ground: Ground, contention: Contention): Promise<Course> => {
  const run = new Run(ground, contention);
  try {
    await ground.datastore.create('pools/all', poolOf(contention));
    await run.fill();
    await run.calm();
    await run.compare();
    await run.empty();
    return run.course;
  } finally {
    await run.close();
  }
};

/**
 * A pool with little more blocks than will be needed, so that the last ones are fought for: what a node's pods fill, and
 * a quarter of a block's share for those that are claimed ahead or twice because an answer was lost.
 */
const poolOf = ({ nodes, addresses, blockSize }: Contention) => {
  const size = 2 ** (32 - blockSize);
  const each = Math.ceil(addresses / nodes) + 2;
  const needed = nodes * (Math.ceil(each / (size - size / 8)) + 0.25);
  const bits = Math.ceil(Math.log2(needed));
  const cidr = `10.0.0.0/${blockSize - bits}`;
  const last = parseAddress('10.0.0.0') as Address;
  const surplus = {
    first: last.value + BigInt(Math.ceil(needed) * size),
    last: last.value + BigInt(2 ** bits * size - 1),
  };
  return { cidr, blockSize, excluded: [`${text(surplus.first)}-${text(surplus.last)}`] };
};

const text = (value: bigint): string => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');

class Run {
  readonly course: Course = {
    adds: 0,
    dels: 0,
    deaths: 0,
    restarts: 0,
    interrupted: 0,
    failed: 0,
    exhausted: 0,
    moves: 0,
    returned: 0,
    seconds: 0,
  };
  readonly #ground: Ground;
  readonly #plan: Contention;
  readonly #random: Random;
  readonly #ledger = new Ledger();
  readonly #processes: NodeProcess[];
  readonly #names: string[];
  readonly #started = performance.now();
  #restarting: Promise<void> = Promise.resolve();
  #containers = 0;
  #given = 0;
  #isOver = false;

  constructor(ground: Ground, plan: Contention) {
    this.#ground = ground;
    this.#plan = plan;
    this.#random = randomFrom(plan.seed);
    this.#names = Array.from({ length: plan.nodes }, (_, index) => `n${index}`);
    const mostDeaths = Math.ceil((2 * plan.kills) / plan.processes);
    this.#processes = Array.from(
      { length: plan.processes },
      (_, index) =>
        new NodeProcess(ground.access, ground.directory, plan.seed + 1000 * (index + 1), mostDeaths),
    );
  }

  /** Until every node has its addresses, and every wanderer has moved four times. */
  async fill(): Promise<void> {
    const { addresses, nodes, wanderers } = this.#plan;
    const shares = this.#names.map(
      (_, node) => Math.floor((addresses * (node + 1)) / nodes) - Math.floor((addresses * node) / nodes),
    );
    try {
      await Promise.all([
        ...this.#names.flatMap((node, index) => {
          const share = shares[index] ?? 0;
          // Two pods of a node at a time.
          return [Math.ceil(share / 2), Math.floor(share / 2)].map((count) => this.#pods(node, count));
        }),
        ...Array.from({ length: wanderers }, (_, index) => this.#wander(`set-${index}`)),
      ]);
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
    await this.#restarting;
  }

  async calm(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.calm()));
    this.course.deaths = this.#processes.reduce((sum, { deaths }) => sum + deaths, 0);
    // What was sent late has arrived or failed by the deadline of a call.
    await this.#ground.datastore.list('blocks/', { deadlineMs: 20_000 });
  }

  /** The nodes' files, the datastore, and what was answered say the same. */
  async compare(): Promise<void> {
    const { addresses, wanderers, blockSize } = this.#plan;
    expectSame('addresses in use', this.#ledger.size, addresses + wanderers);
    for (const node of this.#names) {
      const held = await this.#ask({ do: 'held', node });
      expectSame(`what the files of ${node} say`, held.sort().join('; '), this.#ledger.of(node).join('; '));
    }
    const blocks = (await this.#ground.datastore.list('blocks/')).map(({ value }) => ({
      node: value.node,
      cidr: parseCidr(String(value.cidr)),
    }));
    const records = new Map(
      (await this.#ground.datastore.list('addresses/')).map(({ value }) => [String(value.address), value]),
    );
    for (const { address, node, container } of this.#ledger.all()) {
      const record = records.get(address);
      if (container.startsWith('set-')) {
        expectSame(
          `the record of ${address}`,
          `${record?.node}/${record?.containerId}`,
          `${node}/${container}`,
        );
        continue;
      }
      const at = parseAddress(address);
      const owners = blocks.filter(
        ({ cidr }) => at && cidr && cidr.prefixLength === blockSize && spanHolds(spanOf(cidr), at),
      );
      expectSame(`the node whose block has ${address}`, owners.map((owner) => owner.node).join(), node);
    }
  }

  /** All goes, and each node's blocks but one are returned. */
  async empty(): Promise<void> {
    await this.#each(this.#ledger.all(), async ({ node, container }) => this.#del(node, container));
    await this.#each(this.#names, async (node) => {
      await this.#until(() => this.#ask({ do: 'maintain', node }));
      expectSame(`what the files of ${node} say`, (await this.#ask({ do: 'held', node })).join(), '');
    });
    const owners = (await this.#ground.datastore.list('blocks/')).map(({ value }) => String(value.node));
    expectSame('nodes with more than one empty block', owners.length - new Set(owners).size, 0);
    const kept = (await this.#ground.datastore.list('addresses/')).filter(
      ({ value }) => value.containerId === undefined,
    );
    expectSame('addresses that are kept', kept.length, this.#plan.wanderers);
    this.course.seconds = (performance.now() - this.#started) / 1000;
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#processes.map((each) => each.close()));
    await this.#restarting.catch(() => {});
  }

  /** One pod after the other on a node, as the kubelet does. */
  async #pods(node: string, count: number): Promise<void> {
    // A third of the nodes' lanes are drained once: blocks become empty, go back, and are claimed by others.
    let drainAt = this.#random() < 0.35 ? Math.ceil(this.#random() * count) : 0;
    const own: string[] = [];
    let reached = 0;
    while (own.length < count) {
      if (own.length === drainAt && drainAt > 0) {
        drainAt = 0;
        for (const former of own.splice(0)) await this.#del(node, former);
        await this.#attempt({ do: 'maintain', node });
      }
      const container = `c${++this.#containers}`;
      if (!(await this.#tryAdd(node, container))) {
        // Given up: the runtime makes a new sandbox.
        await this.#del(node, container);
        continue;
      }
      if (this.#random() < 0.05) await this.#add(node, container);
      if (this.#random() < 0.02) await this.#attempt({ do: 'maintain', node });
      if (this.#random() < 0.15) await this.#del(node, container);
      else if (own.push(container) > reached) {
        reached = own.length;
        this.#progress();
      }
    }
  }

  /** A pod of a StatefulSet: the same address on every node. */
  async #wander(key: string): Promise<void> {
    let first: string | undefined;
    for (let move = 0; ; move++) {
      const node = this.#names[Math.floor(this.#random() * this.#names.length)] as string;
      const container = `${key}-${move}`;
      const address = await this.#add(node, container, key);
      first ??= address;
      expectSame(`the address of ${key}`, address, first);
      if (move === 4) return;
      await this.#del(node, container);
      this.course.moves++;
    }
  }

  /** Kills processes and the datastore, spread over the run. */
  #progress(): void {
    const { addresses, kills, restarts } = this.#plan;
    const done = ++this.#given;
    const isTime = (times: number): boolean =>
      Math.floor((done * (times + 1)) / (addresses + 1)) !==
      Math.floor(((done - 1) * (times + 1)) / (addresses + 1));
    if (isTime(kills)) this.#processes[Math.floor(this.#random() * this.#processes.length)]?.kill();
    if (isTime(restarts)) {
      this.course.restarts++;
      this.#restarting = this.#restarting.then(() => this.#ground.restart());
      this.#restarting.catch(() => {});
    }
  }

  async #add(node: string, container: string, sticky?: string): Promise<string> {
    const [address = ''] = await this.#until(() =>
      this.#ask({ do: 'add', node, container, ...(sticky === undefined ? {} : { sticky }) }),
    );
    this.#note(node, container, address);
    return address;
  }

  /** Some tries; false when all failed. */
  async #tryAdd(node: string, container: string): Promise<boolean> {
    const tries = 1 + Math.floor(this.#random() * 3);
    for (let attempt = 0; attempt < tries; attempt++) {
      const answer = await this.#attempt({ do: 'add', node, container });
      if (answer === undefined) {
        await Bun.sleep(this.#random() * 20);
        continue;
      }
      this.#note(node, container, answer[0] ?? '');
      return true;
    }
    return false;
  }

  #note(node: string, container: string, address: string): void {
    if (parseAddress(address) === undefined) throw new Error(`ADD of ${node}/${container} gave "${address}"`);
    this.#ledger.given(node, container, address);
    this.course.adds++;
  }

  async #del(node: string, container: string): Promise<void> {
    this.#ledger.freed(node, container);
    await this.#until(() => this.#ask({ do: 'del', node, container }));
    this.course.dels++;
  }

  /** Again and again, as a runtime does. */
  async #until(call: () => Promise<string[]>): Promise<string[]> {
    const deadline = performance.now() + this.#plan.patience * 1000;
    for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const answer = await this.#once(call, deadline);
      if (answer !== undefined) return answer;
      await Bun.sleep(pauseMs * (0.5 + this.#random()));
    }
  }

  #attempt(work: NodeWork): Promise<string[] | undefined> {
    return this.#once(() => this.#ask(work), Number.POSITIVE_INFINITY);
  }

  /** Undefined when it failed in a way that faults explain. */
  async #once(call: () => Promise<string[]>, deadline: number): Promise<string[] | undefined> {
    if (this.#isOver) throw new Error('the run is over');
    try {
      const value = await call();
      return value;
    } catch (error) {
      if (error instanceof Killed) this.course.interrupted++;
      else if (error instanceof Failed && [tryAgainLater, addressUnavailable].includes(error.code)) {
        this.course.failed++;
        if (error.code === addressUnavailable) this.course.exhausted++;
      } else throw error;
      if (performance.now() > deadline)
        throw new Error(`still after ${this.#plan.patience} s: ${error.message}`);
      return undefined;
    }
  }

  async #ask(work: NodeWork): Promise<string[]> {
    const index = this.#names.indexOf(work.node) % this.#processes.length;
    const value = await (this.#processes[index] as NodeProcess).ask(work);
    if (work.do === 'maintain') this.course.returned += value.length;
    return value;
  }

  /** All of them, some at a time. */
  async #each<T>(items: readonly T[], body: (item: T) => Promise<void>): Promise<void> {
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let index = next++; index < items.length; index = next++) await body(items[index] as T);
    };
    await Promise.all(Array.from({ length: 32 }, lane));
  }
}

const expectSame = <T>(what: string, actual: T, expected: T): void => {
  if (actual !== expected) throw new Error(`${what}: ${actual}, and not ${expected}`);
};
