import { join } from 'node:path';
import { type Holder, startHolder } from './holder.ts';
import { Pod } from './pod.ts';
import {
  expectSuccess,
  type Outcome,
  programPath,
  type Running,
  type RunOptions,
  startProcess,
} from './process.ts';

export interface HostOptions {
  /** Shown in error messages. */
  name?: string;
  /**
   * A PID namespace too, so that disposing kills whatever daemonised inside. Signals then reach only
   * the `nsenter` in front of a process, so plugin tests that send signals leave it out.
   */
  pidNamespace?: boolean;
}

/**
 * A machine for one test: network and mount namespace, its own sysfs, /run and /var/lib, `lo` up.
 * Nothing it does reaches the machine below. One process of ours holds the namespaces; they go when
 * it ends, and it ends when told, when our end of its stdin closes, or on Ctrl-C.
 */
export class TestHost {
  readonly name: string;
  readonly pods: Pod[] = [];
  readonly #holder: Holder;
  readonly #running = new Set<Running>();
  readonly #disposables: (() => Promise<void>)[] = [];
  #disposed = false;

  constructor(name: string, holder: Holder) {
    this.name = name;
    this.#holder = holder;
  }

  /** The holder's pid, as seen from here. */
  get pid(): number {
    return this.#holder.pid;
  }

  /** The network namespace as a path that is valid outside of it. */
  get netnsPath(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /** A file of the host as a path that is valid outside, for node:fs. */
  path(inside: string): string {
    return join(`/proc/${this.pid}/root`, inside);
  }

  /** Starts a program in the host, or with `netns` in that network namespace on the host's files. */
  start(argv: string[], options: RunOptions = {}, netns = this.netnsPath): Running {
    if (this.#disposed) throw new Error(`host ${this.name} is disposed`);
    const enter = [`--net=${netns}`, `--mount=/proc/${this.pid}/ns/mnt`];
    if (this.#holder.pidNamespace) enter.push(`--pid=/proc/${this.pid}/ns/pid`);
    const running = startProcess([programPath('nsenter'), ...enter, '--', ...argv], options);
    const named = { ...running, outcome: running.outcome.then((outcome) => ({ ...outcome, argv })) };
    this.#running.add(named);
    void named.outcome.then(() => this.#running.delete(named));
    return named;
  }

  /** Runs a program to its end, whatever that is. */
  attempt(argv: string[], options: RunOptions = {}): Promise<Outcome> {
    return this.start(argv, options).outcome;
  }

  /** Runs a program and returns its stdout; throws unless it exits with 0. */
  async exec(argv: string[], options: RunOptions = {}): Promise<string> {
    return expectSuccess(await this.attempt(argv, options));
  }

  /** Runs a shell script (`sh -e`) in the host; returns its stdout. */
  shell(script: string, options: RunOptions = {}): Promise<string> {
    return this.exec(['/bin/sh', '-ec', script], options);
  }

  /** Makes a network namespace, `lo` down as a runtime's is; its path is /run/netns/<name>. */
  async addPod(name: string): Promise<Pod> {
    await this.exec(['ip', 'netns', 'add', name]);
    const pod = new Pod(this, name);
    this.pods.push(pod);
    return pod;
  }

  /** Runs `cleanup` at disposal, before the namespaces go; last registered first. */
  onDispose(cleanup: () => Promise<void>): void {
    this.#disposables.push(cleanup);
  }

  /** Kills all that runs in the host and gives its namespaces back. May be called again. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    const failures: unknown[] = [];
    for (const cleanup of this.#disposables.toReversed()) {
      await cleanup().catch((error: unknown) => failures.push(error));
    }
    this.#disposed = true;
    const ended = [...this.#running].map((running) => running.outcome);
    await this.#holder.end();
    await Promise.all(ended);
    if (failures.length > 0) throw new AggregateError(failures, `disposing host ${this.name} failed`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Makes a host; throws with the tool's message when the machine refuses namespaces. */
export const createHost = async (options: HostOptions = {}): Promise<TestHost> => {
  const { name = 'host', pidNamespace = false } = options;
  return new TestHost(name, await startHolder(name, pidNamespace));
};
