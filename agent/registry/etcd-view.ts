import type { OverlayNode } from '../../shared/overlay/types.ts';
import type { EtcdEntry } from '../../shared/store/etcd/encoding.ts';
import type { EtcdEvent } from '../../shared/store/etcd/watch.ts';
import type { RegistryKeys } from './etcd-keys.ts';
import { readRegistration } from './etcd-records.ts';

/** A node that is not alive. */
export interface Vanished {
  name: string;
  /** Of its registration; undefined when the store has none any more, as it is another store. */
  modRevision: bigint | undefined;
}

/** The nodes as etcd told of them. No effects. */
export class NodesView {
  readonly #keys: RegistryKeys;
  readonly #known = new Map<string, Known>();

  constructor(keys: RegistryKeys) {
    this.#keys = keys;
  }

  /** A whole list. With `keep`, nodes that are missing in it are kept, as vanished. */
  replace(entries: readonly EtcdEntry[], keep: boolean): void {
    const before = new Map(this.#known);
    this.#known.clear();
    for (const entry of entries) this.#apply({ type: 'put', entry });
    if (!keep) return;
    for (const [name, known] of before) {
      const now = this.#known.get(name);
      if (now?.registration === undefined && known.registration !== undefined) {
        const registration = { ...known.registration, modRevision: undefined };
        this.#known.set(name, { registration, alive: now?.alive ?? false });
      }
    }
  }

  /** Whether the nodes are others by these changes, and not only who is alive. */
  apply(events: readonly EtcdEvent[]): boolean {
    return events.map((event) => this.#apply(event)).includes(true);
  }

  /** Forgets a node that was kept. */
  forget(name: string): void {
    this.#known.delete(name);
  }

  nodes(): { nodes: OverlayNode[]; refused: string[] } {
    const nodes: OverlayNode[] = [];
    const refused: string[] = [];
    for (const { registration } of this.#known.values()) {
      if (typeof registration?.content === 'string') refused.push(registration.content);
      else if (registration !== undefined) nodes.push(registration.content);
    }
    return { nodes, refused };
  }

  vanished(): Vanished[] {
    const vanished: Vanished[] = [];
    for (const [name, { registration, alive }] of this.#known) {
      if (!alive && registration !== undefined)
        vanished.push({ name, modRevision: registration.modRevision });
    }
    return vanished;
  }

  #apply({ type, entry }: EtcdEvent): boolean {
    const key = this.#keys.read(entry.key);
    if (key === undefined) return false;
    const known = this.#known.get(key.name) ?? { registration: undefined, alive: false };
    const put = type === 'put';
    if (key.is === 'liveness') known.alive = put;
    else known.registration = put ? registrationOf(key.name, entry) : undefined;
    if (known.registration === undefined && !known.alive) this.#known.delete(key.name);
    else this.#known.set(key.name, known);
    return key.is === 'registration';
  }
}

interface Known {
  registration: Registration | undefined;
  alive: boolean;
}

interface Registration {
  /** The node, or what is wrong with its registration. */
  content: OverlayNode | string;
  modRevision: bigint | undefined;
}

const registrationOf = (name: string, { key, value, modRevision }: EtcdEntry): Registration => ({
  content: readRegistration(key, name, value),
  modRevision,
});
