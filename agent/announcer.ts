import { type CniError, toCniError } from '../shared/cni/errors.ts';
import type { OverlayNode } from '../shared/overlay/types.ts';
import type { Backoff } from './backoff.ts';
import { pause } from './pause.ts';

export interface AnnouncerOptions {
  announce: (own: OverlayNode, signal: AbortSignal) => Promise<void>;
  describe: (signal: AbortSignal) => Promise<OverlayNode>;
  backoff: Backoff;
  onTrouble: (error: CniError) => void;
}

/** Milliseconds; `refresh` tells of changes, this is for what was missed. */
const REFRESH_MS = 30_000;

/**
 * Keeps a registry told of this node as it is. An agent that ends leaves the node known, as it leaves its data
 * path, for as long as the registry keeps what is not renewed.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #first = Promise.withResolvers<void>();
  #known: { text: string; stop: AbortController } | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Settles when the registry knows this node: what it says of it before is of an earlier run. */
  get known(): Promise<void> {
    return this.#first.promise;
  }

  /** The node may be another by now: its underlay has changed. */
  refresh(): void {
    this.#changed.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { backoff, onTrouble } = this.#options;
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers<void>();
      try {
        await this.#announce(signal);
        backoff.reset();
        await pause(REFRESH_MS, signal, this.#changed.promise);
      } catch (error) {
        if (!signal.aborted) onTrouble(toCniError(error));
        await pause(backoff.next(), signal);
      }
    }
  }

  async #announce(signal: AbortSignal): Promise<void> {
    const own = await this.#options.describe(signal);
    const text = JSON.stringify(own);
    if (this.#known?.text === text) return;
    const stop = new AbortController();
    await this.#options.announce(own, stop.signal);
    this.#known?.stop.abort();
    this.#known = { text, stop };
    this.#first.resolve();
  }
}
