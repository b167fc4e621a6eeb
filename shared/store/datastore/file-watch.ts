import { watch } from 'node:fs';
import { DatastoreError, type DatastoreListener, hasProblem, type StoredRecord } from './datastore.ts';

/** How often the folder is looked at without any event, in ms: for file systems that have no events. */
const slowPollMs = 10_000;
/** How long events are collected before the folder is read, in ms. */
const collectMs = 20;

/** Tells `listener` what `list` finds in a folder, first and after every change, until `signal` is aborted. */
export const watchFiles = async (
  folder: string,
  list: () => StoredRecord[],
  listener: DatastoreListener,
  signal: AbortSignal,
): Promise<void> => {
  if (signal.aborted) return;
  const known = new Map<string, string>();
  let isComplete = false;
  const look = (): void => {
    try {
      const records = list();
      if (isComplete) tellChanges(known, records, listener);
      else listener.records(records);
      isComplete = true;
      known.clear();
      for (const { path, version } of records) known.set(path, version);
    } catch (error) {
      isComplete = false;
      listener.trouble(toDatastoreError(error));
    }
  };
  await new Promise<void>((resolve) => {
    let collecting: Timer | undefined;
    const soon = (): void => {
      collecting ??= setTimeout(() => {
        collecting = undefined;
        look();
      }, collectMs);
    };
    const watcher = watch(folder, soon);
    // A folder that is removed ends its events; the poll goes on.
    watcher.on('error', soon);
    const poll = setInterval(look, slowPollMs);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(collecting);
        clearInterval(poll);
        watcher.close();
        resolve();
      },
      { once: true },
    );
    look();
  });
};

const tellChanges = (
  known: Map<string, string>,
  records: StoredRecord[],
  listener: DatastoreListener,
): void => {
  const present = new Set(records.map(({ path }) => path));
  for (const path of known.keys()) if (!present.has(path)) listener.removed(path);
  for (const record of records) if (known.get(record.path) !== record.version) listener.changed(record);
};

const toDatastoreError = (error: unknown): DatastoreError =>
  hasProblem(error, 'unavailable')
    ? error
    : new DatastoreError('unavailable', error instanceof Error ? error.message : String(error), {
        cause: error,
      });
