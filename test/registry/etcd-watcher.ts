import type { EtcdRegistry } from '../../agent/registry/etcd.ts';
import type { CniError } from '../../shared/cni/errors.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import { waitUntil } from '../support/wait-until.ts';

/** Somebody who watches a registry, and keeps all that is told. */
export class Watcher {
  readonly told: string[][] = [];
  readonly refused: string[][] = [];
  readonly troubles: CniError[] = [];
  nodes: OverlayNode[] = [];
  readonly #end = new AbortController();
  readonly #watching: Promise<void>;

  constructor(registry: EtcdRegistry) {
    this.#watching = registry.watch(
      {
        nodes: (nodes, refused) => {
          this.nodes = nodes;
          this.told.push(namesOf(nodes));
          this.refused.push(refused);
        },
        trouble: (error) => this.troubles.push(error),
      },
      this.#end.signal,
    );
  }

  async shows(...names: string[]): Promise<void> {
    await waitUntil(
      `the watch tells of ${names.join()}`,
      () => this.told.length > 0 && namesOf(this.nodes).join() === names.toSorted().join(),
      30_000,
    );
  }

  /** Whether a node was always there since it was told first. */
  alwaysHad(name: string): boolean {
    const first = this.told.findIndex((names) => names.includes(name));
    return first >= 0 && this.told.slice(first).every((names) => names.includes(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#watching;
  }
}

/** A node that has a number. */
export const nodeOf = (index: number): OverlayNode => ({
  name: `n${index}`,
  addresses: [`198.51.100.${index}`],
  podCIDRs: [`10.244.${index}.0/24`, `fd00:244:${index}::/64`],
});

const namesOf = (nodes: OverlayNode[]): string[] => nodes.map(({ name }) => name).toSorted();
