import { isObject } from '../../cni/fields.ts';
import type { JsonObject } from '../../cni/types.ts';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readOpenFile,
  renameSync,
  statSync,
  unlinkSync,
  writeFully,
} from '../../kernel/files.ts';
import { errno, libc, SystemError } from '../../kernel/libc.ts';
import { failedWith, ioFailure } from '../io-failure.ts';
import { pollForLock } from '../lock.ts';
import {
  type CallOptions,
  type Datastore,
  DatastoreError,
  defaultDeadlineMs,
  type KnownVersion,
  recordConflict,
  recordExists,
  recordNotFound,
  type StoredRecord,
  splitPath,
  splitPrefix,
} from './datastore.ts';

/**
 * The datastore that is a directory of this machine: a file for each record, `<directory>/<collection>/<name>.json`.
 * For one host, for trying out, and for several namespaces of one machine that play hosts.
 *
 * A record is made by link(2), which refuses a name that is taken, and replaced by rename(2), so that it is whole or
 * not there whenever a process dies; both after fsync, as a claim that a power failure forgets would give addresses
 * twice. Comparing and swapping holds a flock(2) on the record's own file, which the kernel frees with the process;
 * no two records share a lock. Throws CniError 5 when the directory fails, 11 as every datastore.
 */
export const createFileDatastore = (directory: string): Datastore => ({
  kind: 'file',
  get: async (path) => read(directory, path),
  list: async (prefix) => list(directory, prefix),
  create: async (path, value) => create(directory, path, value),
  replace: (known, value, options) =>
    withRecord(directory, known, options, (file) => {
      const { temporary, version } = writeTemporary(directory, known.path, value);
      renameSync(temporary, file);
      syncDirectoryOf(directory, known.path);
      return { path: known.path, value, version };
    }),
  remove: (known, options) =>
    withRecord(directory, known, options, (file) => {
      unlinkSync(file);
      syncDirectoryOf(directory, known.path);
    }),
  watch: async (prefix, listener, signal) => {
    const { watchFiles } = await import('./file-watch.ts');
    const folder = `${directory}/${splitPrefix(prefix).collection}`;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    await watchFiles(folder, () => list(directory, prefix), listener, signal);
  },
  close: () => {},
});

/** How old a temporary file must be, in ms, before it is taken for one whose writer was killed. */
const abandonedAfterMs = 600_000;

const folderOf = (directory: string, path: string): string => `${directory}/${splitPath(path).collection}`;

const fileOf = (directory: string, path: string): string =>
  `${folderOf(directory, path)}/${splitPath(path).name}.json`;

const read = (directory: string, path: string): StoredRecord | undefined => {
  const file = fileOf(directory, path);
  try {
    return parse(path, readFileSync(file));
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined;
    throw ioFailure(`read the record ${file}`, error);
  }
};

const list = (directory: string, prefix: string): StoredRecord[] => {
  const { collection, start } = splitPrefix(prefix);
  const folder = `${directory}/${collection}`;
  if (!existsSync(folder)) return [];
  const records: StoredRecord[] = [];
  try {
    for (const name of readdirSync(folder).sort()) {
      if (name.startsWith('.')) removeAbandoned(`${folder}/${name}`);
      else if (name.endsWith('.json') && name.startsWith(start)) {
        const record = read(directory, `${collection}/${name.slice(0, -'.json'.length)}`);
        if (record !== undefined) records.push(record);
      }
    }
  } catch (error) {
    throw ioFailure(`read the records in ${folder}`, error);
  }
  return records.sort((a, b) => (a.path < b.path ? -1 : 1));
};

const create = (directory: string, path: string, value: JsonObject): StoredRecord => {
  const file = fileOf(directory, path);
  try {
    const { temporary, version } = writeTemporary(directory, path, value);
    try {
      linkSync(temporary, file);
    } finally {
      unlinkSync(temporary);
    }
    syncDirectoryOf(directory, path);
    return { path, value, version };
  } catch (error) {
    if (failedWith(error, 'EEXIST')) throw recordExists(path);
    throw ioFailure(`write the record ${file}`, error);
  }
};

/**
 * Runs `change` while the record has the version known. Who waits for the lock of a file that was replaced meanwhile
 * holds a lock on nothing, and begins again with the new file.
 */
const withRecord = async <T>(
  directory: string,
  { path, version }: KnownVersion,
  { deadlineMs = defaultDeadlineMs, signal }: CallOptions = {},
  change: (file: string) => T,
): Promise<T> => {
  const file = fileOf(directory, path);
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const fd = openRecord(file, path);
    try {
      await lock(fd, path, deadline - performance.now(), signal);
      if (!isStill(fd, file)) continue;
      if (parse(path, readOpenFile(fd)).version !== version) throw recordConflict(path);
      return change(file);
    } catch (error) {
      throw ioFailure(`change the record ${file}`, error);
    } finally {
      closeSync(fd);
    }
  }
};

const openRecord = (file: string, path: string): number => {
  try {
    return openSync(file, constants.O_RDONLY);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) throw recordNotFound(path);
    throw ioFailure(`open the record ${file}`, error);
  }
};

const LOCK_EX_NB = 2 | 4;
const EWOULDBLOCK = 11;

const lock = async (
  fd: number,
  path: string,
  deadlineMs: number,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const attempt = (): boolean => {
    if (libc().flock(fd, LOCK_EX_NB) === 0) return true;
    if (errno() === EWOULDBLOCK) return false;
    throw new SystemError(errno(), 'flock');
  };
  if (attempt()) return;
  const checkpoint = async (): Promise<void> => {
    if (signal?.aborted === true)
      throw new DatastoreError('unavailable', `the change of ${path} was given up`);
  };
  try {
    await pollForLock(
      attempt,
      { what: `the record ${path}`, holder: () => undefined },
      { deadlineMs, checkpoint },
    );
  } catch (error) {
    if (error instanceof DatastoreError) throw error;
    throw new DatastoreError('unavailable', (error as Error).message, { cause: error });
  }
};

/** Whether the open file is the one that has the name now. */
const isStill = (fd: number, file: string): boolean => {
  try {
    const open = fstatSync(fd);
    const named = statSync(file);
    return open.dev === named.dev && open.ino === named.ino;
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return false;
    throw error;
  }
};

/** A version is random: a record that is removed and made anew has none that it had before. */
const writeTemporary = (
  directory: string,
  path: string,
  value: JsonObject,
): { temporary: string; version: string } => {
  const version = crypto.randomUUID();
  const folder = folderOf(directory, path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const temporary = `${folder}/.${version}`;
  const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    writeFully(fd, `${JSON.stringify({ version, value })}\n`);
    fsyncSync(fd);
    return { temporary, version };
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  } finally {
    closeSync(fd);
  }
};

const syncDirectoryOf = (directory: string, path: string): void => {
  const fd = openSync(folderOf(directory, path), constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

const removeAbandoned = (file: string): void => {
  try {
    if (Date.now() - Number(statSync(file).mtimeNs / 1_000_000n) > abandonedAfterMs) unlinkSync(file);
  } catch {
    // Its writer is at work, or another reader removed it.
  }
};

const parse = (path: string, text: string): StoredRecord => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Told below.
  }
  if (isObject(json) && typeof json.version === 'string' && isObject(json.value)) {
    return { path, version: json.version, value: json.value };
  }
  throw new DatastoreError('unavailable', `the record ${path} is damaged`, {
    details:
      'It must be {"version": "…", "value": {…}}. Correct its file, or remove it if nobody uses what it describes.',
  });
};
