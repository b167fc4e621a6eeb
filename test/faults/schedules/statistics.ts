/** The figures of a run. */
export class Statistics {
  readonly #started = performance.now();
  readonly verbs = new Map<string, { calls: number; succeeded: number; totalMs: number }>();
  /** Errors by verb and code, which are all expected ones: others end the run. */
  readonly errors = new Map<string, number>();
  /** Signals sent to calls by signal and verb: how many, and how many of them ended the call or undid it. */
  readonly signals = new Map<string, { sent: number; effective: number }>();
  invariantChecks = 0;
  /** GCs that ran while ADDs and DELs of the same network did. */
  collectionsBeside = 0;
  vanishedNetns = 0;
  mostAttachments = 0;

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  get calls(): number {
    return [...this.verbs.values()].reduce((sum, { calls }) => sum + calls, 0);
  }

  countCall(verb: string, succeeded: boolean, ms: number): void {
    const row = this.verbs.get(verb) ?? { calls: 0, succeeded: 0, totalMs: 0 };
    this.verbs.set(verb, {
      calls: row.calls + 1,
      succeeded: row.succeeded + (succeeded ? 1 : 0),
      totalMs: row.totalMs + ms,
    });
  }

  countSignal(signal: string, verb: string, isEffective: boolean): void {
    const key = `${signal} ${verb}`;
    const { sent, effective } = this.signals.get(key) ?? { sent: 0, effective: 0 };
    this.signals.set(key, { sent: sent + 1, effective: effective + (isEffective ? 1 : 0) });
  }

  /** How long a call of that verb takes on the average, in ms. */
  meanMs(verb: string): number {
    const row = this.verbs.get(verb);
    return row === undefined ? 40 : row.totalMs / row.calls;
  }

  /** As the soak prints it, a table for each thing in Markdown. */
  toString(): string {
    const { seconds, calls } = this;
    const verbs = [...this.verbs].map(
      ([verb, row]) =>
        `| ${verb} | ${row.calls} | ${row.succeeded} | ${(row.totalMs / row.calls).toFixed(0)} ms |`,
    );
    return [
      '| verb | calls | succeeded | mean |',
      '|---|---:|---:|---:|',
      ...verbs,
      '',
      `calls            ${calls} in ${seconds.toFixed(0)} s, ${(calls / seconds).toFixed(1)} a second`,
      `signals in time  ${list([...this.signals].map(([key, row]) => [key, `${row.effective} of ${row.sent}`]))}`,
      `errors expected  ${list([...this.errors])}`,
      `GC beside ADD    ${this.collectionsBeside}`,
      `netns vanished   ${this.vanishedNetns}`,
      `attachments      ${this.mostAttachments} at most`,
      `invariant checks ${this.invariantChecks}, all passed`,
    ].join('\n');
  }
}

/** Counts one more under a key. */
export const count = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};

const list = (rows: [string, number | string][]): string =>
  rows
    .toSorted()
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ') || 'none';
