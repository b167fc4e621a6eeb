import { podwireBin } from '../../support/binaries.ts';
import { type PluginCall, type PluginOutcome, startPlugin } from '../../support/call-plugin.ts';
import type { TestHost } from '../../support/test-host.ts';
import { contractBreach } from './contract.ts';
import { describeEnd, type Entry, History } from './history.ts';
import { interrupt } from './interrupt.ts';
import type { Model } from './model.ts';
import type { Random } from './random.ts';
import { count, Statistics } from './statistics.ts';

/** Something that must not be, with what happened before. */
export class SoakFailure extends Error {
  override readonly name = 'SoakFailure';
}

/** A call of the plugin that the configuration names. */
export type SoakCall = Omit<PluginCall, 'binDir' | 'plugin'> & {
  config: { type: string; prevResult?: unknown };
};

/** A run of the schedule: everything that its parts share. */
export class Run {
  readonly host: TestHost;
  readonly model: Model;
  /** Share of calls that get a SIGKILL or a SIGTERM. */
  signalShare: number;
  readonly history = new History();
  readonly statistics = new Statistics();
  /** Number of calls begun. */
  n = 0;

  constructor(host: TestHost, model: Model, signalShare: number) {
    this.host = host;
    this.model = model;
    this.signalShare = signalShare;
  }

  /**
   * One call of a plugin, perhaps with a signal at a random moment. Throws SoakFailure when it breaks its
   * contract: an end by another signal, an error that is not one of `codes`, a stray word.
   */
  async call(
    random: Random,
    call: SoakCall,
    entry: Partial<Entry>,
    codes: readonly number[],
  ): Promise<PluginOutcome> {
    this.n += 1;
    const { command, config } = call;
    const signal = random.chance(this.signalShare) ? random.pick(['SIGKILL', 'SIGTERM'] as const) : undefined;
    const afterMs = random.next() * 1.3 * this.statistics.meanMs(command);
    const remarks = [...(entry.remarks ?? [])];
    if (signal !== undefined) remarks.push(`${signal} after ${afterMs.toFixed(1)} ms`);
    const begun = this.history.begin({ ...entry, n: this.n, verb: command, remarks });
    const running = startPlugin(this.host, {
      ...call,
      binDir: podwireBin,
      plugin: config.type,
      timeout: 60_000,
    });
    if (signal !== undefined) await interrupt(running, signal, afterMs);
    const outcome = await running.outcome;
    this.history.end(begun, describeEnd(outcome));
    this.#count(command, outcome, signal);
    const wasEnded = signal !== undefined && outcome.exitCode === undefined;
    const breach = wasEnded
      ? undefined
      : contractBreach(command, outcome, signal === 'SIGTERM' ? [...codes, 106] : codes);
    if (breach !== undefined) throw this.failure(`call #${begun.n}: ${command} ${breach}`, entry);
    return outcome;
  }

  /** The error to throw, with the last operations that touched what it is about. */
  failure(problem: string, about: { containerId?: string | undefined; network?: string | undefined }) {
    const { containerId, network } = about;
    const lines = this.history.about({
      ...(containerId === undefined ? {} : { containerId }),
      ...(network === undefined ? {} : { network }),
    });
    const object = [network, containerId].filter((word) => word !== undefined).join(' ') || 'the host';
    return new SoakFailure(
      `${problem}\nThe last operations that touched ${object}:\n  ${lines.join('\n  ')}`,
    );
  }

  #count(verb: string, { exitCode, signal, error, ms }: PluginOutcome, sent: string | undefined): void {
    this.statistics.countCall(verb, exitCode === 0, ms);
    const isInterrupted = error?.code === 106;
    if (sent !== undefined) this.statistics.countSignal(sent, verb, signal !== undefined || isInterrupted);
    // One that was killed may have printed its result before.
    if (exitCode === 1 && error !== undefined && !isInterrupted)
      count(this.statistics.errors, `${verb} ${error.code}`);
  }
}
