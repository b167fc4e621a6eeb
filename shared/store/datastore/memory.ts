import {
  type Datastore,
  type DatastoreListener,
  type KnownVersion,
  recordConflict,
  recordExists,
  recordNotFound,
  type StoredRecord,
  splitPath,
  splitPrefix,
} from './datastore.ts';

/** A datastore in this process: for tests that simulate many nodes. All that is made by one call shares its records. */
export const createMemoryDatastore = (): Datastore => {
  const records = new Map<string, StoredRecord>();
  const listeners = new Set<{ prefix: string; listener: DatastoreListener }>();
  let revision = 0;
  const known = ({ path, version }: KnownVersion): void => {
    const record = records.get(splitPath(path).name && path);
    if (record === undefined) throw recordNotFound(path);
    if (record.version !== version) throw recordConflict(path);
  };
  const put = (path: string, value: StoredRecord['value']): StoredRecord => {
    const record = { path, value: structuredClone(value), version: String(++revision) };
    records.set(path, record);
    for (const { prefix, listener } of listeners) if (path.startsWith(prefix)) listener.changed(record);
    return structuredClone(record);
  };
  const list = (prefix: string): StoredRecord[] => {
    splitPrefix(prefix);
    return [...records.values()]
      .filter(({ path }) => path.startsWith(prefix))
      .sort((a, b) => (a.path < b.path ? -1 : 1))
      .map((record) => structuredClone(record));
  };
  return {
    kind: 'file',
    get: async (path) =>
      structuredClone(records.get(`${splitPath(path).collection}/${splitPath(path).name}`)),
    list: async (prefix) => list(prefix),
    create: async (path, value) => {
      splitPath(path);
      if (records.has(path)) throw recordExists(path);
      return put(path, value);
    },
    replace: async (record, value) => {
      known(record);
      return put(record.path, value);
    },
    remove: async (record) => {
      known(record);
      records.delete(record.path);
      for (const { prefix, listener } of listeners)
        if (record.path.startsWith(prefix)) listener.removed(record.path);
    },
    watch: (prefix, listener, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const entry = { prefix, listener };
        listeners.add(entry);
        signal.addEventListener('abort', () => {
          listeners.delete(entry);
          resolve();
        });
        listener.records(list(prefix));
      }),
    close: () => {},
  };
};
