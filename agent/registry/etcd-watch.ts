import type { EtcdClient } from '../../shared/store/etcd/client.ts';
import { hasEtcdProblem } from '../../shared/store/etcd/errors.ts';
import { followPrefix } from '../../shared/store/etcd/follow.ts';
import { isAbsent } from '../../shared/store/etcd/transaction.ts';
import type { RegistryKeys } from './etcd-keys.ts';
import { NodesView, type Vanished } from './etcd-view.ts';
import type { RegistryListener } from './registry.ts';

export interface WatchSettings {
  /** How long a node may be not alive before its registration is removed, in ms. */
  graceMs: number;
  /** The name of this node, which does not remove itself; undefined while it is not announced. */
  ownName: () => string | undefined;
}

/**
 * Tells of the nodes until `signal` is aborted. A node is gone when its registration is, and this node removes those of
 * others that were not alive for the grace time. The time begins anew whenever etcd could not be heard: the others, cut
 * off too, need time to come back.
 */
export const watchNodes = async (
  client: EtcdClient,
  keys: RegistryKeys,
  settings: WatchSettings,
  listener: RegistryListener,
  signal: AbortSignal,
): Promise<void> => {
  const view = new NodesView(keys);
  const tell = (): void => {
    const { nodes, refused } = view.nodes();
    listener.nodes(nodes, refused);
  };
  const graces = new Graces(settings.graceMs, async (vanished) => {
    if (vanished.modRevision !== undefined) return removeVanished(client, keys, vanished, listener, signal);
    view.forget(vanished.name);
    tell();
  });
  const follow = (): void => graces.follow(view.vanished().filter(({ name }) => name !== settings.ownName()));
  let isCutOff = false;
  try {
    await followPrefix(
      client,
      keys.nodes,
      {
        listed: ({ entries }, isAnother) => {
          isCutOff = false;
          graces.stop();
          view.replace(entries, isAnother);
          tell();
          follow();
        },
        events: (events) => {
          if (view.apply(events)) tell();
          follow();
        },
        trouble: (error) => {
          isCutOff = true;
          graces.stop();
          listener.trouble(error);
        },
        connected: () => {
          // Nothing may have changed: that etcd is heard again is told by the nodes.
          if (isCutOff) tell();
          isCutOff = false;
          follow();
        },
      },
      signal,
    );
  } finally {
    graces.stop();
  }
};

/** Removes the registration of a node that is not alive, unless it came back or changed. */
const removeVanished = async (
  client: EtcdClient,
  keys: RegistryKeys,
  { name, modRevision }: Vanished,
  listener: RegistryListener,
  signal: AbortSignal,
): Promise<void> => {
  const key = keys.node(name);
  try {
    await client.transaction(
      {
        compare: [{ key, modRevision: modRevision ?? 0n }, isAbsent(keys.alive(name))],
        success: [{ do: 'delete', key }],
      },
      { signal },
    );
  } catch (error) {
    // The others do it too, and the next grace time ends here again.
    if (hasEtcdProblem(error, 'denied')) listener.trouble(error);
  }
};

/** One timer for each node that is not alive. */
class Graces {
  readonly #graceMs: number;
  readonly #ended: (vanished: Vanished) => Promise<void>;
  readonly #running = new Map<string, { vanished: Vanished; timer: Timer }>();

  constructor(graceMs: number, ended: (vanished: Vanished) => Promise<void>) {
    this.#graceMs = graceMs;
    this.#ended = ended;
  }

  /** These are not alive: the time of new ones begins, that of those not among them is over. */
  follow(vanished: Vanished[]): void {
    const names = new Set(vanished.map(({ name }) => name));
    for (const [name, { timer }] of this.#running) {
      if (names.has(name)) continue;
      clearTimeout(timer);
      this.#running.delete(name);
    }
    for (const one of vanished) {
      const running = this.#running.get(one.name);
      if (running === undefined) this.#begin(one);
      else running.vanished = one;
    }
  }

  stop(): void {
    for (const { timer } of this.#running.values()) clearTimeout(timer);
    this.#running.clear();
  }

  #begin(one: Vanished): void {
    // Not all nodes at once: who is first spares the others the request.
    const ms = this.#graceMs * (1 + Math.random() / 10);
    const timer = setTimeout(() => {
      const { vanished = one } = this.#running.get(one.name) ?? {};
      // Tried again after another grace time, should it still be there.
      this.#begin(vanished);
      void this.#ended(vanished);
    }, ms);
    this.#running.set(one.name, { vanished: one, timer });
  }
}
