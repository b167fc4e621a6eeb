import type { JsonObject } from '../../shared/cni/types.ts';
import { callAlone, callPlugin, type PluginCall, timedRun } from './call.ts';
import { footprintOf } from './footprint.ts';
import { reapOrphans } from './orphans.ts';
import type { Cost, Costs, Footprints } from './protocol.ts';
import { reserveAddresses } from './reservations.ts';
import { ipv4Prefix, networkName, type Scenario, scenarios, type Verb } from './scenarios.ts';

/** Makes the pods' network namespaces; throws for an unknown scenario. */
export const prepare = async (scenarioName: string, bin: string): Promise<Side> => {
  const scenario = scenarios.find(({ name }) => name === scenarioName);
  if (scenario === undefined) throw new Error(`no scenario ${scenarioName}`);
  const lines = Array.from({ length: scenario.pods }, (_, index) => `netns add ${podName(index)}\n`);
  const made = await timedRun(
    ['ip', '-batch', '-'],
    toolEnvironment,
    new TextEncoder().encode(lines.join('')),
  );
  if (made.exitCode !== 0) throw new Error(`ip -batch: ${made.stderr}`);
  return new Side(scenario, bin);
};

/** What measuring costs by itself: the wall times of running /bin/true, in milliseconds. */
export const floor = async (rounds: number): Promise<number[]> => {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    times.push((await timedRun(['/bin/true'], {}, new Uint8Array(500))).cost.wallMs);
  }
  return times;
};

/** Plugin calls of one scenario with one set of plugins. */
export class Side {
  readonly #scenario: Scenario;
  readonly #bin: string;
  #containers = 0;

  constructor(scenario: Scenario, bin: string) {
    this.#scenario = scenario;
    this.#bin = bin;
  }

  /** Adds pods that stay, in the namespaces from the second on. */
  async fill(count: number): Promise<null> {
    await this.#inParallel(
      Array.from({ length: count }, (_, index) => this.#call('ADD', this.#newContainer(), index + 1)),
    );
    return null;
  }

  /** Puts reservations of other containers on disk. */
  reserve(count: number): null {
    reserveAddresses(`/var/lib/cni/networks/${networkName}`, ipv4Prefix, count);
    return null;
  }

  /** Makes the calls for one new container in the first namespace. */
  async cycle(verbs: readonly Verb[]): Promise<Costs> {
    const container = this.#newContainer();
    const costs: Costs = {};
    let result: string | undefined;
    for (const verb of verbs) {
      const { cost, stdout } = await callAlone(this.#call(verb, container, 0, result));
      costs[verb] = cost;
      if (verb === 'ADD') result = stdout;
    }
    return costs;
  }

  /** ADDs a container to every namespace, then DELs all; the costs are those of all calls together. */
  async churn(): Promise<Costs> {
    const containers = Array.from({ length: this.#scenario.pods }, () => this.#newContainer());
    const results: string[] = [];
    const add = await this.#inParallel(
      containers.map((container, index) => this.#call('ADD', container, index)),
      results,
    );
    const del = await this.#inParallel(
      containers.map((container, index) => this.#call('DEL', container, index, results[index])),
    );
    return { ADD: add, DEL: del };
  }

  /** Memory and children of each verb, in calls that are not timed. */
  async footprints(verbs: readonly Verb[]): Promise<Footprints> {
    const container = this.#newContainer();
    const footprints: Footprints = {};
    let result: string | undefined;
    const add = async () => {
      result = (await callAlone(this.#call('ADD', container, 0))).stdout;
    };
    const del = async () => {
      await callAlone(this.#call('DEL', container, 0, result));
    };
    const nothing = async () => {};
    const has = (verb: Verb) => verbs.includes(verb);
    if (has('STATUS')) footprints.STATUS = await footprintOf(this.#call('STATUS', container, 0), nothing);
    if (has('ADD')) {
      footprints.ADD = await footprintOf(this.#call('ADD', container, 0), del);
      await del();
      await add();
    }
    if (has('CHECK'))
      footprints.CHECK = await footprintOf(this.#call('CHECK', container, 0, result), nothing);
    if (has('DEL')) {
      footprints.DEL = await footprintOf(this.#call('DEL', container, 0, result), add);
    }
    return footprints;
  }

  async #inParallel(calls: PluginCall[], results: string[] = []): Promise<Cost> {
    let cpuMs = 0;
    let next = 0;
    const started = Bun.nanoseconds();
    const lane = async () => {
      for (let index = next++; index < calls.length; index = next++) {
        const { cost, stdout } = await callPlugin(calls[index] as PluginCall);
        cpuMs += cost.cpuMs;
        results[index] = stdout;
      }
    };
    await Promise.all(Array.from({ length: this.#scenario.parallel }, lane));
    const wallMs = (Bun.nanoseconds() - started) / 1e6;
    return { wallMs, cpuMs: cpuMs + (await reapOrphans()) };
  }

  #call(verb: Verb, containerId: string, pod: number, result?: string): PluginCall {
    const config: JsonObject = { ...this.#scenario.config };
    if (result !== undefined) config.prevResult = JSON.parse(result) as JsonObject;
    return {
      verb,
      program: `${this.#bin}/${this.#scenario.type}`,
      bin: this.#bin,
      containerId,
      netns: `/run/netns/${podName(pod)}`,
      config,
    };
  }

  #newContainer(): string {
    this.#containers += 1;
    return `bench-${this.#containers}`;
  }
}

const toolEnvironment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
const podName = (index: number): string => `pod${index}`;
