import { CniError, toCniError } from '../../cni/errors.ts';
import type { KubernetesClient } from './client.ts';
import { KubernetesFailure } from './failure.ts';
import { type Backoff, pause, pauseAfter } from './pause.ts';
import type { KubernetesObject, Resource } from './resource.ts';
import { defaultTiming, type WatchEvent, type WatchTiming } from './watch.ts';

export interface ListAndWatchOptions<T> {
  client: KubernetesClient;
  resource: Resource;
  /** What is kept of an object; undefined: it counts as if it were not there. Everything else is forgotten at once. */
  project(object: KubernetesObject): T | undefined;
  /** Whether two projections of one object say the same: then nothing is told. */
  same(a: T, b: T): boolean;
  /** All there are, by name: at first, after a gap in what could be watched, and when trouble is over. */
  listed(all: ReadonlyMap<string, T>): void;
  /** Some were made, changed or removed: `names`. */
  changed(all: ReadonlyMap<string, T>, names: ReadonlySet<string>): void;
  /** The server can't be reached or refuses; it is tried again, with growing pauses. What was told stays in force. */
  trouble(error: CniError): void;
  signal: AbortSignal;
  /** What the first list may be: from the server's memory (`any`), which spares its database when all nodes start. */
  first?: 'latest' | 'any';
  /** Which objects, such as `metadata.name=n1`; all unless given. */
  fieldSelector?: string | undefined;
  timing?: ListAndWatchTiming;
}

export interface ListAndWatchTiming extends WatchTiming {
  backoff: Backoff;
}

/**
 * Keeps what is wanted of all objects of a kind, by one list and watches that follow it, until `signal` is aborted;
 * resolves then. Lists again only when the server no longer knows what changed since (410).
 */
export const listAndWatch = async <T>(options: ListAndWatchOptions<T>): Promise<void> => {
  const { signal, timing = defaults } = options;
  const state: State<T> = { all: new Map(), resourceVersion: undefined, listed: false, troubled: false };
  for (let failures = 0; !signal.aborted; failures++) {
    const began = performance.now();
    let opened = false;
    let problem: CniError | undefined;
    try {
      if (state.resourceVersion === undefined) await list(options, state);
      await watch(options, state, () => {
        opened = true;
      });
    } catch (error) {
      problem = error instanceof CniError ? error : toCniError(error);
    }
    if (signal.aborted) return;
    // A watch that ends or breaks at once, again and again, must not be asked for in a tight loop.
    if (performance.now() - began > timing.backoff.first * 10) failures = 0;
    const failure = problem instanceof KubernetesFailure ? problem : undefined;
    // A server remembers the changes of the last minutes only.
    const expired = failure?.status === 410;
    if (expired) state.resourceVersion = undefined;
    // A watch that breaks is no trouble, as long as the next one opens.
    if (problem !== undefined && !expired && !(opened && failure?.status === 0)) {
      state.troubled = true;
      options.trouble(problem);
    }
    if (!expired || failures > 0) await pause(pauseAfter(failure ?? {}, failures, timing.backoff), signal);
  }
};

const defaults: ListAndWatchTiming = { ...defaultTiming, backoff: { first: 500, most: 30_000 } };

interface State<T> {
  all: Map<string, T>;
  /** The state of `all`; undefined: list first. */
  resourceVersion: string | undefined;
  /** Whether there was a first list. */
  listed: boolean;
  /** Trouble was told, and its end was not. */
  troubled: boolean;
}

const list = async <T>(options: ListAndWatchOptions<T>, state: State<T>): Promise<void> => {
  const { client, resource, project, fieldSelector, signal, first = 'latest' } = options;
  const { items, resourceVersion } = await client.list(resource, {
    project: (object): [string, T] | undefined => {
      const projected = project(object);
      return projected === undefined ? undefined : [object.metadata.name, projected];
    },
    consistency: state.listed ? 'latest' : first,
    fieldSelector,
    signal,
  });
  if (signal.aborted) return;
  state.all = new Map(items);
  state.resourceVersion = resourceVersion;
  state.listed = true;
  state.troubled = false;
  options.listed(state.all);
};

const watch = async <T>(
  options: ListAndWatchOptions<T>,
  state: State<T>,
  opened: () => void,
): Promise<void> => {
  const { client, resource, fieldSelector, signal, timing = defaults } = options;
  if (signal.aborted || state.resourceVersion === undefined) return;
  await client.watch(resource, {
    resourceVersion: state.resourceVersion,
    fieldSelector,
    signal,
    timing,
    opened: () => {
      opened();
      if (!state.troubled) return;
      state.troubled = false;
      options.listed(state.all);
    },
    events: (events, resourceVersion) => {
      if (signal.aborted) return;
      state.resourceVersion = resourceVersion;
      const names = new Set<string>();
      for (const event of events) if (apply(event, options, state.all)) names.add(event.object.metadata.name);
      if (names.size > 0) options.changed(state.all, names);
    },
  });
};

/** Whether the event says anything new. */
const apply = <T>(
  { type, object }: WatchEvent,
  { project, same }: ListAndWatchOptions<T>,
  all: Map<string, T>,
): boolean => {
  const { name } = object.metadata;
  const now = type === 'DELETED' ? undefined : project(object);
  const before = all.get(name);
  if (now === undefined) return all.delete(name);
  if (before !== undefined && same(before, now)) return false;
  all.set(name, now);
  return true;
};
