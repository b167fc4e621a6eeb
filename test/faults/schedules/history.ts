import type { PluginOutcome } from '../../support/call-plugin.ts';

/** One operation of the schedule, as it is printed when something it touched turns out wrong. */
export interface Entry {
  n: number;
  startedMs: number;
  endedMs?: number;
  verb: string;
  network: string | undefined;
  containerId: string | undefined;
  ifname: string | undefined;
  /** What was special: the signal and when it was sent, the list of a GC. */
  remarks: string[];
  outcome?: string;
}

/** All operations of a run, in the order of their start. */
export class History {
  readonly #entries: Entry[] = [];
  readonly #start = performance.now();

  begin(entry: Pick<Entry, 'n' | 'verb'> & Partial<Entry>): Entry {
    const begun: Entry = {
      network: undefined,
      containerId: undefined,
      ifname: undefined,
      remarks: [],
      ...entry,
      startedMs: performance.now() - this.#start,
    };
    this.#entries.push(begun);
    return begun;
  }

  end(entry: Entry, outcome: string): void {
    entry.endedMs = performance.now() - this.#start;
    entry.outcome = outcome;
  }

  /** The last `count` operations that touched a container, or its network as a whole. */
  about(about: { containerId?: string; network?: string }, count = 25): string[] {
    const concerns = (entry: Entry): boolean =>
      (about.containerId === undefined ||
        entry.containerId === undefined ||
        entry.containerId === about.containerId) &&
      (about.network === undefined || entry.network === undefined || entry.network === about.network);
    return this.#entries.filter(concerns).slice(-count).map(line);
  }
}

/** How a call ended, on one line. */
export const describeEnd = ({ exitCode, signal, timedOut, error, stdout }: PluginOutcome): string => {
  if (timedOut) return 'TIMEOUT';
  if (exitCode === undefined) return signal ?? 'killed';
  if (exitCode === 0) return 'ok';
  return error === undefined
    ? `exit ${exitCode}: ${JSON.stringify(stdout.slice(0, 300))}`
    : `${error.code} ${error.msg}${error.details ? ` (${error.details})` : ''}`;
};

const line = (entry: Entry): string => {
  const { n, startedMs, endedMs, verb, network, containerId, ifname, remarks, outcome } = entry;
  const what = [verb, network, containerId, ifname, ...remarks].filter((word) => word !== undefined);
  const time = `${startedMs.toFixed(0)}–${endedMs?.toFixed(0) ?? ''} ms`;
  return `#${n} ${time} ${what.join(' ')} → ${outcome ?? 'running'}`;
};
