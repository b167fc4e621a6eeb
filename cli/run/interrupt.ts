import { CniError, ErrorCode } from '../../shared/cni/errors.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Ctrl-C and the like, from construction to `dispose`. Plugins run in process groups of their own,
 * so the signal does not reach them by itself: whoever runs one says with `onInterrupt` how to end it.
 */
export class Interrupts {
  #received: string | undefined;
  #stop: (() => void) | undefined;
  readonly #handler = (signal: string): void => {
    this.#received = signal;
    this.#stop?.();
  };

  constructor() {
    for (const signal of signals) process.on(signal, this.#handler);
  }

  /** Throws CniError 106 when a signal has come. */
  check(): void {
    if (this.#received !== undefined) {
      throw new CniError(ErrorCode.interrupted, `interrupted by ${this.#received}`);
    }
  }

  /** Forgets the signal, so that what it ended can be cleaned up; the next one ends that too. */
  reset(): void {
    this.#received = undefined;
  }

  /** Calls `stop` on a signal until the function returned is called. */
  onInterrupt(stop: () => void): () => void {
    this.#stop = stop;
    return () => {
      this.#stop = undefined;
    };
  }

  dispose(): void {
    for (const signal of signals) process.off(signal, this.#handler);
  }
}
