import type { Registry } from '../../agent/registry/registry.ts';
import type { CniError } from '../../shared/cni/errors.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import { waitUntil } from '../support/wait-until.ts';

/** A registry that is watched, and what it told. */
export class RegistryWatch {
  /** The last state told. */
  nodes: OverlayNode[] = [];
  refused: string[] = [];
  /** How many states were told. */
  told = 0;
  readonly troubles: CniError[] = [];
  readonly #end = new AbortController();
  readonly #watching: Promise<void>;

  constructor(registry: Registry) {
    const nodes = (now: OverlayNode[], refused: string[]): void => {
      this.nodes = now;
      this.refused = refused;
      this.told++;
    };
    this.#watching = registry.watch(
      { nodes, trouble: (error) => this.troubles.push(error) },
      this.#end.signal,
    );
  }

  /** Waits until the nodes told have these names. */
  names(...names: string[]): Promise<unknown> {
    const wanted = names.join(' ');
    return waitUntil(
      `the nodes are: ${wanted}; they are: ${this.nodes.map(({ name }) => name)}; trouble: ${this.troubles}`,
      () => this.told > 0 && this.nodes.map(({ name }) => name).join(' ') === wanted,
      20_000,
    );
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#watching;
  }
}
