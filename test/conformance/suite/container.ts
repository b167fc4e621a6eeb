import {
  expectDone,
  expectResult,
  type PluginOutcome,
  type PrintedResult,
} from '../../support/call-plugin.ts';
import type { Pod } from '../../support/pod.ts';
import { earlierInterface } from './earlier-interface.ts';
import { type Link, linkOf } from './links.ts';
import { hostsOf } from './printed-result.ts';
import type { CallOptions, NetworkConfig, Trial } from './trial.ts';

export interface ContainerParts {
  trial: Trial;
  index: number;
  id: string;
  pod: Pod;
  ifname: string;
  config: NetworkConfig;
  ipv6: boolean;
}

/** A container as a runtime handles it: ADD, then CHECK and DEL with the result of ADD. */
export class Container {
  readonly trial: Trial;
  /** The how many-th of the trial, from 1. */
  readonly index: number;
  readonly id: string;
  readonly pod: Pod;
  readonly ifname: string;
  readonly config: NetworkConfig;
  /** What ADD gets: the result of the chain's earlier plugins. */
  readonly earlier: PrintedResult | undefined;
  /** What ADD printed. */
  result: PrintedResult | undefined;

  private constructor(parts: ContainerParts, earlier: PrintedResult | undefined) {
    this.trial = parts.trial;
    this.index = parts.index;
    this.id = parts.id;
    this.pod = parts.pod;
    this.ifname = parts.ifname;
    this.config = parts.config;
    this.earlier = earlier;
  }

  /** Use `trial.container()`. */
  static async create(parts: ContainerParts): Promise<Container> {
    const chained = parts.trial.profile.role === 'chained';
    return new Container(parts, chained ? await earlierInterface(parts) : undefined);
  }

  /** Calls a verb and returns how that ended; `options` differ from what a runtime would pass. */
  attempt(command: 'ADD' | 'CHECK' | 'DEL', options: CallOptions = {}): Promise<PluginOutcome> {
    const prevResult = command === 'ADD' ? this.earlier : (this.result ?? this.earlier);
    return this.trial.call(command, {
      containerId: this.id,
      netns: this.pod,
      ifname: this.ifname,
      config: { ...this.config, ...(prevResult === undefined ? {} : { prevResult }) },
      ...options,
    });
  }

  /** ADD; throws with the plugin's error when it fails. */
  async add(options: CallOptions = {}): Promise<PrintedResult> {
    this.result = expectResult(await this.attempt('ADD', options));
    return this.result;
  }

  /** CHECK; throws with the plugin's error when it fails. */
  async check(options: CallOptions = {}): Promise<void> {
    expectDone(await this.attempt('CHECK', options));
  }

  /** DEL; throws with the plugin's error when it fails. */
  async del(options: CallOptions = {}): Promise<void> {
    expectDone(await this.attempt('DEL', options));
  }

  /** The addresses that ADD reported, without prefix length. */
  get addresses(): string[] {
    return this.result === undefined ? [] : hostsOf(this.result);
  }

  /** The link as `ip -j` shows it, or undefined when the container has none of that name. */
  link(): Promise<Link | undefined> {
    return linkOf(this.pod, this.ifname);
  }
}
