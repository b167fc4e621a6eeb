import { CniError } from '../../cni/errors.ts';
import { isObject } from '../../cni/fields.ts';
import type { JsonObject } from '../../cni/types.ts';
import type { KubernetesAccess } from '../kubernetes/access.ts';
import { createKubernetesClient } from '../kubernetes/client.ts';
import { KubernetesFailure } from '../kubernetes/failure.ts';
import { type ListAndWatchTiming, listAndWatch } from '../kubernetes/list-and-watch.ts';
import type { KubernetesObject } from '../kubernetes/resource.ts';
import {
  type CallOptions,
  type Collection,
  type Datastore,
  DatastoreError,
  defaultDeadlineMs,
  recordConflict,
  recordExists,
  recordNotFound,
  type StoredRecord,
  splitPath,
  splitPrefix,
} from './datastore.ts';
import { apiVersion, kinds } from './kubernetes-kinds.ts';

/**
 * The datastore in a Kubernetes cluster: a record is a custom resource of the record's name, cluster-wide, whose `spec`
 * is the value and whose version is its `resourceVersion`; conf/kubernetes/crds.yaml defines them. A replacement by the
 * same value is none: the API server then keeps the version.
 */
export const createKubernetesDatastore = (
  access: KubernetesAccess,
  { timing }: { timing?: ListAndWatchTiming | undefined } = {},
): Datastore => {
  const client = createKubernetesClient(access);
  const closed = new AbortController();
  const within = ({ deadlineMs = defaultDeadlineMs, signal }: CallOptions = {}) => ({
    deadlineMs,
    signal: signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]),
  });
  const listCall = (options: CallOptions | undefined) => {
    // Of the whole list, and not of each page.
    const { deadlineMs, signal } = within(options);
    return { deadlineMs, signal: AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]) };
  };
  return {
    kind: 'kubernetes',
    get: async (path, options) => {
      const { collection, name } = splitPath(path);
      const object = await told(path, () => client.get(kinds[collection].resource, name, within(options)));
      return object && recordOf(collection, object);
    },
    list: async (prefix, options) => {
      const { collection, start } = splitPrefix(prefix);
      const project = (object: KubernetesObject): StoredRecord | undefined =>
        object.metadata.name.startsWith(start) ? recordOf(collection, object) : undefined;
      const { resource } = kinds[collection];
      const { items } = await told(prefix, () => client.list(resource, { project, ...listCall(options) }));
      return items.sort((a, b) => (a.path < b.path ? -1 : 1));
    },
    create: async (path, value, options) => {
      const { collection, name } = splitPath(path);
      const object = objectOf(collection, { name }, value);
      const made = await told(path, () => client.create(kinds[collection].resource, object, within(options)));
      return recordOf(collection, made);
    },
    replace: async ({ path, version }, value, options) => {
      const { collection, name } = splitPath(path);
      const object = objectOf(collection, { name, resourceVersion: version }, value);
      const made = await told(path, () =>
        client.replace(kinds[collection].resource, object, within(options)),
      );
      return recordOf(collection, made);
    },
    remove: async ({ path, version }, options) => {
      const { collection, name } = splitPath(path);
      const { resource } = kinds[collection];
      await told(path, () => client.remove(resource, name, { resourceVersion: version }, within(options)));
    },
    watch: async (prefix, listener, signal) => {
      const { collection, start } = splitPrefix(prefix);
      await listAndWatch<StoredRecord>({
        client,
        resource: kinds[collection].resource,
        project: (object) =>
          object.metadata.name.startsWith(start) ? recordOf(collection, object) : undefined,
        same: (a, b) => a.version === b.version,
        listed: (all) => listener.records([...all.values()]),
        changed: (all, names) => {
          for (const name of names) {
            const record = all.get(name);
            if (record === undefined) listener.removed(`${collection}/${name}`);
            else listener.changed(record);
          }
        },
        trouble: (error) => listener.trouble(unavailable(error)),
        signal: within({ signal }).signal,
        ...(timing && { timing }),
      });
    },
    close: () => closed.abort(new Error('the datastore was closed')),
  };
};

const objectOf = (
  collection: Collection,
  metadata: KubernetesObject['metadata'],
  value: JsonObject,
): KubernetesObject => ({ apiVersion, kind: kinds[collection].kind, metadata, spec: value });

const recordOf = (collection: Collection, { metadata, spec }: KubernetesObject): StoredRecord => ({
  path: `${collection}/${metadata.name}`,
  version: metadata.resourceVersion ?? '',
  value: isObject(spec) ? spec : {},
});

/** The call's outcome, where a failure is a DatastoreError. */
const told = async <T>(path: string, call: () => Promise<T>): Promise<T> => {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const reason = error instanceof KubernetesFailure ? error.reason : '';
    if (reason === 'AlreadyExists') throw recordExists(path);
    if (reason === 'Conflict') throw recordConflict(path);
    if (reason === 'NotFound') throw recordNotFound(path);
    throw unavailable(error);
  }
};

const unavailable = (error: CniError): DatastoreError =>
  new DatastoreError('unavailable', error.message, {
    ...(error.details !== undefined && { details: error.details }),
    cause: error,
  });
