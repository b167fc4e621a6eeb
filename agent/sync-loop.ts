import type { Backoff } from './backoff.ts';
import { pause } from './pause.ts';

/** What asks for a sync: new nodes, or something that calls for a look at all that the kernel has. */
export type SyncCause = 'nodes' | 'kernel';

export interface SyncLoopOptions {
  /** Brings the kernel in order; tells whether it is. It reports its failures itself. */
  sync: (cause: SyncCause) => Promise<boolean>;
  /** A sync at least this often, in ms. */
  intervalMs: number;
  /** The pauses after failures. */
  backoff: Backoff;
}

/** Milliseconds in which requests become one sync: a registry tells of many nodes at a time. */
const COALESCE_MS = 5;

/** Rests between two syncs, in ms: as long as the first took, so that a flood of changes takes half a CPU. */
const LONGEST_REST_MS = 1000;

/**
 * One sync at a time: soon after a request, after the interval without one, and again after a failure. A
 * request during a sync leads to another after it.
 */
export class SyncLoop {
  readonly #options: SyncLoopOptions;
  #request = Promise.withResolvers<void>();
  #cause: SyncCause | undefined;

  constructor(options: SyncLoopOptions) {
    this.#options = options;
  }

  request(cause: SyncCause): void {
    if (this.#cause !== 'kernel') this.#cause = cause;
    this.#request.resolve();
  }

  /** Until `signal` is aborted; a sync that runs then is waited for. */
  async run(signal: AbortSignal): Promise<void> {
    const { sync, intervalMs, backoff } = this.#options;
    let waitMs = intervalMs;
    for (;;) {
      await pause(waitMs, signal, this.#request.promise);
      await pause(COALESCE_MS, signal);
      if (signal.aborted) return;
      // Without a request the interval has passed, or the last sync has failed.
      const cause = this.#cause ?? 'kernel';
      this.#request = Promise.withResolvers<void>();
      this.#cause = undefined;
      const started = performance.now();
      const done = await sync(cause);
      if (done) backoff.reset();
      waitMs = done ? intervalMs : backoff.next();
      const took = performance.now() - started;
      await pause(done ? Math.min(took, LONGEST_REST_MS) : LONGEST_REST_MS, signal);
    }
  }
}
