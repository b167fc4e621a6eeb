import type { JsonObject } from '../../cni/types.ts';
import type { KubernetesAccess } from './access.ts';
import { KubernetesFailure, noAnswer } from './failure.ts';
import { type Listed, type ListOptions, listPages } from './list.ts';
import { pause, pauseAfter } from './pause.ts';
import { type KubernetesObject, type Resource, resourcePath } from './resource.ts';
import { createTransport, type RequestOptions, type Transport } from './transport.ts';
import { type WatchOptions, watchOnce } from './watch.ts';

export interface CallOptions {
  /** When the call must have ended, in ms from now; default 10,000. */
  deadlineMs?: number | undefined;
  /** Ends the call early. */
  signal?: AbortSignal | undefined;
}

/** Which state of an object is meant; without a uid, any object of that name. */
export interface Precondition {
  resourceVersion?: string | undefined;
  uid?: string | undefined;
}

/**
 * The API server's objects of any kind. What fails for a passing reason is tried again until the deadline, with
 * growing, random pauses, or when the server says (Retry-After); a write only where it was surely not done: not
 * accepted (429), or not even sent. All throw KubernetesFailure.
 */
export interface KubernetesClient {
  /** What it was made with, for messages. */
  readonly source: string;
  /** Undefined where there is none of that name. */
  get(resource: Resource, name: string, options?: CallOptions): Promise<KubernetesObject | undefined>;
  /** By pages; whole even when the server forgets the pages' state meanwhile. */
  list<T>(resource: Resource, options: ListOptions<T>): Promise<Listed<T>>;
  create(resource: Resource, object: JsonObject, options?: CallOptions): Promise<KubernetesObject>;
  /** The object's `metadata.resourceVersion` is the state that it replaces; 409 where that is past. */
  replace(resource: Resource, object: KubernetesObject, options?: CallOptions): Promise<KubernetesObject>;
  /** Replaces what is below `status`. */
  replaceStatus(
    resource: Resource,
    object: KubernetesObject,
    options?: CallOptions,
  ): Promise<KubernetesObject>;
  remove(resource: Resource, name: string, known: Precondition, options?: CallOptions): Promise<void>;
  /** One watch, until it ends; see `listAndWatch` for one that goes on. */
  watch(resource: Resource, options: WatchOptions): Promise<void>;
}

/** Makes no request yet. */
export const createKubernetesClient = (access: KubernetesAccess): KubernetesClient => {
  const transport = createTransport(access);
  const exchange = async (request: Request, options: CallOptions = {}): Promise<KubernetesObject> =>
    (await repeated(transport, request, options, (response) => response.json())) as KubernetesObject;
  const put = (
    resource: Resource,
    object: KubernetesObject,
    part: string | undefined,
    options?: CallOptions,
  ) => {
    const { name } = object.metadata;
    const path = resourcePath(resource, name, part);
    return exchange({ verb: 'update', resource, name, part, method: 'PUT', path, body: object }, options);
  };
  return {
    source: access.source,
    get: async (resource, name, options) => {
      try {
        const path = resourcePath(resource, name);
        return await exchange({ verb: 'get', resource, name, method: 'GET', path }, options);
      } catch (error) {
        if (error instanceof KubernetesFailure && error.reason === 'NotFound') return undefined;
        throw error;
      }
    },
    list: (resource, options) =>
      listPages(resource, options, (path, read, call) =>
        repeated(transport, { verb: 'list', resource, method: 'GET', path }, call, read),
      ),
    create: (resource, object, options) => {
      const name = (object.metadata as { name?: string } | undefined)?.name;
      return exchange(
        { verb: 'create', resource, name, method: 'POST', path: resourcePath(resource), body: object },
        options,
      );
    },
    replace: (resource, object, options) => put(resource, object, undefined, options),
    replaceStatus: (resource, object, options) => put(resource, object, 'status', options),
    remove: async (resource, name, preconditions, options) => {
      const body = { kind: 'DeleteOptions', apiVersion: 'v1', preconditions };
      await exchange(
        { verb: 'delete', resource, name, method: 'DELETE', path: resourcePath(resource, name), body },
        options,
      );
    },
    watch: (resource, options) => watchOnce(transport, resource, options),
  };
};

type Request = Omit<RequestOptions, 'signal' | 'headMs'>;

/** The request's answer as `read` makes it, after as many attempts as the deadline allows. */
const repeated = async <T>(
  transport: Transport,
  request: Request,
  { deadlineMs = DEFAULT_DEADLINE_MS, signal }: CallOptions,
  read: (response: Response) => Promise<T>,
): Promise<T> => {
  const deadline = performance.now() + deadlineMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await attempted(transport, request, deadline - performance.now(), signal, read);
    } catch (error) {
      const waitMs = mayRepeat(error, request)
        ? pauseAfter(error, attempt, OWN_PAUSES)
        : Number.POSITIVE_INFINITY;
      if (signal?.aborted || attempt >= MOST_REPETITIONS || performance.now() + waitMs >= deadline)
        throw error;
      await pause(waitMs, signal);
      // A busy machine may have paused for longer.
      if (signal?.aborted || performance.now() >= deadline) throw error;
    }
  }
};

const attempted = async <T>(
  transport: Transport,
  request: Request,
  leftMs: number,
  signal: AbortSignal | undefined,
  read: (response: Response) => Promise<T>,
): Promise<T> => {
  const end = new AbortController();
  const timer = setTimeout(
    () => end.abort(new Error(`not all of it came within ${Math.round(leftMs)} ms`)),
    leftMs,
  );
  try {
    const either = signal === undefined ? end.signal : AbortSignal.any([end.signal, signal]);
    // An attempt to read that hangs must leave time for another; a write has only one.
    const headMs = request.method === 'GET' ? Math.min(leftMs, LONGEST_HEAD_MS) : leftMs;
    const response = await transport.send({ ...request, signal: either, headMs });
    return await read(response).catch((error) => {
      throw error instanceof KubernetesFailure ? error : noAnswer(request, transport.server, error);
    });
  } finally {
    clearTimeout(timer);
  }
};

const mayRepeat = (error: unknown, { method }: Request): error is KubernetesFailure => {
  if (!(error instanceof KubernetesFailure) || !error.transient) return false;
  return method === 'GET' || error.status === 429 || (error.status === 0 && neverSent.has(error.reason));
};

/** By which `fetch` tells that there was no connection. */
const neverSent = new Set([
  'ECONNREFUSED',
  'ConnectionRefused',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

export const DEFAULT_DEADLINE_MS = 10_000;
const LONGEST_HEAD_MS = 5_000;
const MOST_REPETITIONS = 8;
const OWN_PAUSES = { first: 100, most: 2_000 };
