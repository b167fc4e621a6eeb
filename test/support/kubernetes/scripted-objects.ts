import type { JsonObject } from '../../../shared/cni/types.ts';
import type { KubernetesObject } from '../../../shared/store/kubernetes/resource.ts';

/** Which state of an object a removal means. */
export interface Precondition {
  resourceVersion?: string;
  uid?: string;
}

export interface ScriptedEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  collection: string;
  object: KubernetesObject;
  revision: number;
}

/** An answer that is a Status object. */
export class Refusal {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly name: string | undefined;

  /** `name` is that of the object which it is about. */
  constructor(code: number, reason: string, message: string, name?: string) {
    this.name = name;
    this.code = code;
    this.reason = reason;
    this.message = message;
  }

  get body(): JsonObject {
    const { code, reason, message, name } = this;
    const details = name === undefined ? {} : { name };
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason,
      details,
      code,
    };
  }
}

/**
 * Objects with the API server's rules of versions: one revision for all writes, creation only where there is none,
 * replacement and removal only of the version named (https://kubernetes.io/docs/reference/using-api/api-concepts/).
 */
export class ScriptedObjects {
  revision = 1;
  /** Changes before this revision are forgotten. */
  oldest = 1;
  readonly #objects = new Map<string, Map<string, KubernetesObject>>();
  readonly #listeners = new Set<(event: ScriptedEvent) => void>();
  #history: ScriptedEvent[] = [];

  all(collection: string): KubernetesObject[] {
    const objects = [...(this.#objects.get(collection)?.values() ?? [])];
    return objects.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  get(collection: string, name: string): KubernetesObject | Refusal {
    return this.#objects.get(collection)?.get(name) ?? notFound(collection, name);
  }

  create(collection: string, given: JsonObject): KubernetesObject | Refusal {
    const { name } = (given as KubernetesObject).metadata;
    if (this.#objects.get(collection)?.has(name)) {
      return new Refusal(409, 'AlreadyExists', `${collection} "${name}" already exists`, name);
    }
    return this.#store('ADDED', collection, given, crypto.randomUUID());
  }

  /** Replaces what is below `status`, or everything else. */
  replace(
    collection: string,
    name: string,
    given: KubernetesObject,
    ofStatus = false,
  ): KubernetesObject | Refusal {
    const now = this.get(collection, name);
    if (now instanceof Refusal) return now;
    const { resourceVersion, uid } = given.metadata;
    if (
      (resourceVersion ?? now.metadata.resourceVersion) !== now.metadata.resourceVersion ||
      (uid ?? now.metadata.uid) !== now.metadata.uid
    ) {
      return conflict(collection, name);
    }
    const { status: before, ...rest } = now;
    const status = ofStatus ? given.status : before;
    const object = { ...(ofStatus ? rest : given), ...(status !== undefined && { status }) };
    return this.#store('MODIFIED', collection, object, now.metadata.uid ?? '');
  }

  remove(collection: string, name: string, { resourceVersion, uid }: Precondition = {}) {
    const now = this.get(collection, name);
    if (now instanceof Refusal) return now;
    if (
      (resourceVersion ?? now.metadata.resourceVersion) !== now.metadata.resourceVersion ||
      (uid ?? now.metadata.uid) !== now.metadata.uid
    ) {
      return conflict(collection, name);
    }
    this.#objects.get(collection)?.delete(name);
    return this.#tell('DELETED', collection, now);
  }

  /** Creates or replaces, whatever the version. */
  put(collection: string, object: JsonObject): KubernetesObject {
    const { name } = (object as KubernetesObject).metadata;
    const now = this.get(collection, name);
    if (now instanceof Refusal) return this.create(collection, object) as KubernetesObject;
    return this.#store('MODIFIED', collection, object, now.metadata.uid ?? '');
  }

  /** As a compaction: changes so far can't be watched any more, nor can lists that began be continued. */
  forget(): void {
    this.revision++;
    this.oldest = this.revision;
    this.#history = [];
  }

  /** What changed after a revision, and everything that changes from now on, until the function returned is called. */
  follow(collection: string, after: number, listener: (event: ScriptedEvent) => void): () => void {
    for (const event of this.#history)
      if (event.revision > after && event.collection === collection) listener(event);
    const one = (event: ScriptedEvent): void => {
      if (event.collection === collection) listener(event);
    };
    this.#listeners.add(one);
    return () => void this.#listeners.delete(one);
  }

  #store(type: 'ADDED' | 'MODIFIED', collection: string, given: JsonObject, uid: string): KubernetesObject {
    const object = structuredClone(given) as KubernetesObject;
    object.metadata.uid = uid;
    const objects = this.#objects.get(collection) ?? new Map<string, KubernetesObject>();
    this.#objects.set(collection, objects.set(object.metadata.name, object));
    return this.#tell(type, collection, object);
  }

  #tell(type: ScriptedEvent['type'], collection: string, object: KubernetesObject): KubernetesObject {
    this.revision++;
    object.metadata.resourceVersion = String(this.revision);
    const event = { type, collection, object: structuredClone(object), revision: this.revision };
    this.#history.push(event);
    for (const listener of this.#listeners) listener(event);
    return structuredClone(object);
  }
}

const notFound = (collection: string, name: string) =>
  new Refusal(404, 'NotFound', `${collection} "${name}" not found`, name);

const conflict = (collection: string, name: string) =>
  new Refusal(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${collection} "${name}": the object has been modified`,
    name,
  );
