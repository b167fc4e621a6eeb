import { isObject } from '../../cni/fields.ts';
import { type Attempt, failureOf, KubernetesFailure, noAnswer } from './failure.ts';
import { type KubernetesObject, type Resource, resourcePath } from './resource.ts';
import type { Transport } from './transport.ts';

export interface WatchOptions {
  /** The state that is known: what came after it is told. */
  resourceVersion: string;
  /** The server accepted the watch. */
  opened?(): void;
  /** What came, in order, as much at once as arrived at once. `resourceVersion` is the state that is known then. */
  events(events: WatchEvent[], resourceVersion: string): void;
  /** As in the list that it follows. */
  fieldSelector?: string | undefined;
  signal: AbortSignal;
  timing?: WatchTiming;
}

/** In ms. */
export interface WatchTiming {
  /** How long the server is asked to let the watch live. */
  lifeMs: number;
  /** A server tells at least a bookmark about each minute; silence for this long is taken for a dead connection. */
  silenceMs: number;
  headMs: number;
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubernetesObject;
}

/**
 * Watches until the server ends it, which is what servers do, and returns then. Throws KubernetesFailure: 410 when the
 * known state is too old, so that one has to list anew; 0 when the connection broke or was silent for too long.
 */
export const watchOnce = async (
  { send, server }: Transport,
  resource: Resource,
  options: WatchOptions,
): Promise<void> => {
  const { signal, fieldSelector, timing = defaultTiming } = options;
  const attempt: Attempt = { verb: 'watch', resource };
  const query = new URLSearchParams({
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: options.resourceVersion,
    ...(fieldSelector !== undefined && { fieldSelector }),
    // At random, so that the watches of many nodes do not end together.
    timeoutSeconds: String(Math.ceil((timing.lifeMs * (1 + Math.random())) / 2000)),
  });
  const path = `${resourcePath(resource)}?${query}`;
  const silence = new AbortController();
  const end = AbortSignal.any([silence.signal, signal]);
  const response = await send({ ...attempt, method: 'GET', path, headMs: timing.headMs, signal: end });
  options.opened?.();
  const silent = (): void => silence.abort(new Error(`nothing came for ${timing.silenceMs} ms`));
  let timer = setTimeout(silent, timing.silenceMs);
  const heard = (): void => {
    clearTimeout(timer);
    timer = setTimeout(silent, timing.silenceMs);
  };
  try {
    await readEvents(response, attempt, options, heard);
  } catch (error) {
    throw error instanceof KubernetesFailure ? error : noAnswer(attempt, server, error);
  } finally {
    clearTimeout(timer);
  }
};

export const defaultTiming: WatchTiming = { lifeMs: 600_000, silenceMs: 100_000, headMs: 10_000 };

const readEvents = async (
  response: Response,
  attempt: Attempt,
  { events, resourceVersion: known }: WatchOptions,
  heard: () => void,
): Promise<void> => {
  if (response.body === null) return;
  const decoder = new TextDecoder();
  // Of a line that has not ended yet; joined only at its end, as a large one comes in many pieces.
  let pieces: string[] = [];
  let resourceVersion = known;
  for await (const chunk of response.body) {
    heard();
    const [first = '', ...more] = decoder.decode(chunk, { stream: true }).split('\n');
    pieces.push(first);
    if (more.length === 0) continue;
    const lines = [pieces.join(''), ...more.slice(0, -1)];
    pieces = [more.at(-1) ?? ''];
    const batch: WatchEvent[] = [];
    let failure: unknown;
    for (const line of lines) {
      if (line.trim() === '') continue;
      try {
        const { type, object } = readEvent(line, attempt);
        resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
        if (type !== 'BOOKMARK') batch.push({ type, object });
      } catch (error) {
        // What came before it counts.
        failure = error;
        break;
      }
    }
    events(batch, resourceVersion);
    if (failure !== undefined) throw failure;
  }
};

const readEvent = (
  line: string,
  attempt: Attempt,
): { type: WatchEvent['type'] | 'BOOKMARK'; object: KubernetesObject } => {
  const event: unknown = JSON.parse(line);
  const { type, object } = isObject(event) ? event : {};
  if (type === 'ERROR') {
    throw failureOf(attempt, 500, JSON.stringify(object), { retryAfter: null, source: '', credentials: '' });
  }
  if (!knownTypes.has(type) || !isObject(object) || !isObject(object.metadata)) {
    throw new SyntaxError('what came is no event of a watch');
  }
  return { type: type as WatchEvent['type'], object: object as KubernetesObject };
};

const knownTypes = new Set<unknown>(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']);
