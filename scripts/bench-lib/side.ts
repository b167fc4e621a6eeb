import type { JsonObject } from '../../shared/cni/types.ts';
import { type CallResult, callAlone, callPlugin, type PluginCall, timedRun } from './call.ts';
import { childrenOf, peakOf } from './footprint.ts';
import { reapOrphans } from './orphans.ts';
import type { Cost, Costs, Footprints } from './protocol.ts';
import { reserveAddresses } from './reservations.ts';
import {
  type Chain,
  configOf,
  ipv4Prefix,
  networkName,
  type Scenario,
  scenarios,
  type Verb,
} from './scenarios.ts';

/** Makes the pods' network namespaces; throws for an unknown scenario. */
export const prepare = async (wanted: { scenario: string; bin: string; isOurs: boolean }): Promise<Side> => {
  const scenario = scenarios.find(({ name }) => name === wanted.scenario);
  if (scenario === undefined) throw new Error(`no scenario ${wanted.scenario}`);
  const lines = Array.from({ length: scenario.pods }, (_, index) => `netns add ${podName(index)}\n`);
  lines.push(...(scenario.host ?? []).map((line) => `${line}\n`));
  const made = await timedRun(
    ['ip', '-batch', '-'],
    toolEnvironment,
    new TextEncoder().encode(lines.join('')),
  );
  if (made.exitCode !== 0) throw new Error(`ip -batch: ${made.stderr}`);
  const chain = (wanted.isOurs ? scenario.ourPlugins : undefined) ?? scenario.plugins;
  if (wanted.isOurs && scenario.ourBefore !== undefined)
    await new Side(scenario, scenario.ourBefore, wanted.bin).cycle(['ADD', 'DEL']);
  return new Side(scenario, chain, wanted.bin);
};

/** What measuring costs by itself: the wall times of running /bin/true, in milliseconds. */
export const floor = async (rounds: number): Promise<number[]> => {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    times.push((await timedRun(['/bin/true'], {}, new Uint8Array(500))).cost.wallMs);
  }
  return times;
};

/** One container: where its calls go, and what the chain's ADD has printed so far. */
interface Container {
  id: string;
  pod: number;
  result?: JsonObject;
}

/** Calls of one scenario's chain of plugins, of one directory. */
export class Side {
  readonly #scenario: Scenario;
  readonly #chain: Chain;
  readonly #bin: string;
  #containers = 0;

  constructor(scenario: Scenario, chain: Chain, bin: string) {
    this.#scenario = scenario;
    this.#chain = chain;
    this.#bin = bin;
  }

  /** Adds pods that stay, in the namespaces from the second on. */
  async fill(count: number): Promise<null> {
    const pods = Array.from({ length: count }, (_, index) => this.#newContainer(index + 1));
    await this.#inParallel('ADD', pods);
    return null;
  }

  /** Puts reservations of other containers on disk. */
  reserve(count: number): null {
    reserveAddresses(`/var/lib/cni/networks/${networkName}`, ipv4Prefix, count);
    return null;
  }

  /** Makes the calls for one new container in the first namespace. */
  async cycle(verbs: readonly Verb[]): Promise<Costs> {
    const container = this.#newContainer(0);
    const costs: Costs = {};
    for (const verb of verbs) costs[verb] = await this.#run(verb, container, callAlone);
    return costs;
  }

  /** ADDs a container to every namespace, then DELs all; the costs are those of all calls together. */
  async churn(): Promise<Costs> {
    const containers = Array.from({ length: this.#scenario.pods }, (_, pod) => this.#newContainer(pod));
    return { ADD: await this.#inParallel('ADD', containers), DEL: await this.#inParallel('DEL', containers) };
  }

  /** Memory and children of each verb, in calls that are not timed. */
  async footprints(verbs: readonly Verb[]): Promise<Footprints> {
    const peaks = await this.#measured(verbs, peakOf);
    const children = await this.#measured(verbs, childrenOf);
    const footprints: Footprints = {};
    for (const verb of verbs) {
      const counts = children[verb]?.map((part) => part.children ?? Number.NaN) ?? [];
      // All the programs but the first plugin of the chain.
      const total = counts.reduce((sum, count) => sum + count, counts.length - 1);
      footprints[verb] = {
        peakMB: Math.max(...(peaks[verb]?.map(({ peakMB }) => peakMB) ?? [])),
        children: Number.isNaN(total) ? undefined : total,
      };
    }
    return footprints;
  }

  /** What a way of calling tells of each plugin of the chain, for each verb. */
  async #measured<T extends CallResult>(
    verbs: readonly Verb[],
    make: (call: PluginCall) => Promise<T>,
  ): Promise<Partial<Record<Verb, T[]>>> {
    const container = this.#newContainer(0);
    const measured: Partial<Record<Verb, T[]>> = {};
    for (const verb of verbs) {
      const parts: T[] = [];
      await this.#run(verb, container, async (call) => {
        const part = await make(call);
        parts.push(part);
        return part;
      });
      measured[verb] = parts;
    }
    return measured;
  }

  /** Calls a verb of all plugins of the chain as a runtime does: DEL from the last to the first. */
  async #run(
    verb: Verb,
    container: Container,
    make: (call: PluginCall) => Promise<CallResult>,
  ): Promise<Cost> {
    const total = { wallMs: 0, cpuMs: 0 };
    if (verb === 'ADD') delete container.result;
    for (const plugin of verb === 'DEL' ? this.#chain.toReversed() : this.#chain) {
      const { cost, stdout } = await make(this.#call(verb, plugin, container));
      if (verb === 'ADD') container.result = JSON.parse(stdout) as JsonObject;
      total.wallMs += cost.wallMs;
      total.cpuMs += cost.cpuMs;
    }
    return total;
  }

  async #inParallel(verb: Verb, containers: readonly Container[]): Promise<Cost> {
    let cpuMs = 0;
    let next = 0;
    const started = Bun.nanoseconds();
    const lane = async () => {
      for (let index = next++; index < containers.length; index = next++) {
        cpuMs += (await this.#run(verb, containers[index] as Container, callPlugin)).cpuMs;
      }
    };
    await Promise.all(Array.from({ length: this.#scenario.parallel }, lane));
    const wallMs = (Bun.nanoseconds() - started) / 1e6;
    return { wallMs, cpuMs: cpuMs + (await reapOrphans()) };
  }

  #call(verb: Verb, plugin: Chain[number], { id, pod, result }: Container): PluginCall {
    const config = configOf(plugin, pod);
    return {
      verb,
      program: `${this.#bin}/${plugin.type}`,
      bin: this.#bin,
      containerId: id,
      netns: `/run/netns/${podName(pod)}`,
      config: result === undefined ? config : { ...config, prevResult: result },
      // The reference's portmap looks for rules of IPv6 also where the pod has none, after it has done the work.
      mayFail: verb === 'CHECK' && plugin.type === 'portmap',
    };
  }

  #newContainer(pod: number): Container {
    this.#containers += 1;
    return { id: `bench-${this.#containers}`, pod };
  }
}

const toolEnvironment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
const podName = (index: number): string => `pod${index}`;
