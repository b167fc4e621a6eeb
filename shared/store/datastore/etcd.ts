import type { CniError } from '../../cni/errors.ts';
import { toCniError } from '../../cni/errors.ts';
import { isObject } from '../../cni/fields.ts';
import type { JsonObject } from '../../cni/types.ts';
import { EtcdClient } from '../etcd/client.ts';
import type { EtcdEntry } from '../etcd/encoding.ts';
import { followPrefix } from '../etcd/follow.ts';
import type { EtcdOptions } from '../etcd/options.ts';
import { isAbsent, type Operation } from '../etcd/transaction.ts';
import {
  type CallOptions,
  type Datastore,
  DatastoreError,
  type DatastoreListener,
  defaultDeadlineMs,
  type KnownVersion,
  recordConflict,
  recordExists,
  recordNotFound,
  type StoredRecord,
  splitPath,
  splitPrefix,
} from './datastore.ts';

export interface EtcdDatastoreOptions extends EtcdOptions {
  /** What all keys begin with; default `/podwire`. Records are at `<prefix>/ipam/<path>`. */
  prefix?: string | undefined;
}

/**
 * The datastore that is an etcd cluster (v3). A record is a key, its value JSON, its version the revision at which the
 * key was last changed; each change is one transaction that compares it. Nothing is sent yet. Throws CniError 7 for
 * options that are wrong and files that cannot be read; what fails later is `unavailable`.
 */
export const createEtcdDatastore = (options: EtcdDatastoreOptions): Datastore => {
  const client = new EtcdClient({ tokenDirectory: '/run/podwire/etcd', ...options });
  client.checkFiles();
  const root = `${(options.prefix ?? '/podwire').replace(/\/+$/, '')}/ipam/`;
  return {
    kind: 'etcd',
    get: async (path, options) => {
      const entry = await client.get(keyOf(root, path), limits(options)).catch(unavailable);
      return entry && recordOf(root, entry);
    },
    list: async (prefix, options) => {
      splitPrefix(prefix);
      const { entries } = await client.range(root + prefix, limits(options)).catch(unavailable);
      return entries.map((entry) => recordOf(root, entry));
    },
    create: async (path, value, options) => {
      const key = keyOf(root, path);
      const put: Operation = { do: 'put', key, value: JSON.stringify(value) };
      const { succeeded, revision } = await client
        .transaction({ compare: [isAbsent(key)], success: [put] }, limits(options))
        .catch(unavailable);
      if (!succeeded) throw recordExists(path);
      return { path, version: String(revision), value };
    },
    replace: async (known, value, options) => {
      const put: Operation = { do: 'put', key: keyOf(root, known.path), value: JSON.stringify(value) };
      const version = await change(client, known, put, options);
      return { path: known.path, version, value };
    },
    remove: async (known, options) => {
      await change(client, known, { do: 'delete', key: keyOf(root, known.path) }, options);
    },
    watch: (prefix, listener, signal) => {
      splitPrefix(prefix);
      return watch(client, root, prefix, listener, signal);
    },
    close: () => client.close(),
  };
};

/** Does `operation` while the record has the version known; its version then. */
const change = async (
  client: EtcdClient,
  { path, version }: KnownVersion,
  operation: Operation,
  options: CallOptions | undefined,
): Promise<string> => {
  const { key } = operation;
  // A version of another kind of datastore is none that this one gave.
  const modRevision = /^[1-9]\d*$/.test(version) ? BigInt(version) : -1n;
  const { succeeded, revision, found } = await client
    .transaction(
      { compare: [{ key, modRevision }], success: [operation], failure: [{ do: 'get', key }] },
      limits(options),
    )
    .catch(unavailable);
  if (succeeded) return String(revision);
  throw found[0] === undefined ? recordNotFound(path) : recordConflict(path);
};

const watch = (
  client: EtcdClient,
  root: string,
  prefix: string,
  listener: DatastoreListener,
  signal: AbortSignal,
): Promise<void> => {
  // One record that is damaged must not keep the others from being told.
  const readable = (entry: EtcdEntry): StoredRecord[] => {
    try {
      return [recordOf(root, entry)];
    } catch (error) {
      listener.trouble(error as DatastoreError);
      return [];
    }
  };
  return followPrefix(
    client,
    root + prefix,
    {
      listed: ({ entries }) => listener.records(entries.flatMap(readable)),
      events: (events) => {
        for (const { type, entry } of events) {
          if (type === 'delete') listener.removed(entry.key.slice(root.length));
          else for (const record of readable(entry)) listener.changed(record);
        }
      },
      trouble: (error) => listener.trouble(toDatastoreError(error)),
    },
    signal,
  );
};

const keyOf = (root: string, path: string): string => {
  splitPath(path);
  return root + path;
};

const limits = ({ deadlineMs = defaultDeadlineMs, signal }: CallOptions = {}) => ({ deadlineMs, signal });

const recordOf = (root: string, { key, value, modRevision }: EtcdEntry): StoredRecord => {
  const path = key.slice(root.length);
  const json = parse(value);
  if (json !== undefined) return { path, version: String(modRevision), value: json };
  throw new DatastoreError('unavailable', `the record ${path} is damaged`, {
    details: `The value of ${key} in etcd must be a JSON object. Correct it, or delete it if nobody uses what it describes.`,
  });
};

const parse = (text: string): JsonObject | undefined => {
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
};

const unavailable = (error: unknown): never => {
  throw toDatastoreError(toCniError(error));
};

const toDatastoreError = (error: CniError): DatastoreError =>
  new DatastoreError('unavailable', error.message, {
    ...(error.details !== undefined && { details: error.details }),
    cause: error,
  });
