import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { JsonObject } from '../../cni/types.ts';

/**
 * What the nodes of a cluster share for IPAM, whichever of `file`, `etcd` and `kubernetes` keeps it. All calls are
 * linearizable: a read sees every write that was answered before it began. What is built on it needs no lock:
 * `create` is one, and a record is changed by the version it was read with.
 *
 * Every call ends by its deadline, with a DatastoreError at the latest: `unavailable` leaves open whether a write was
 * done, so that the caller reads before it writes again.
 */
export interface Datastore {
  readonly kind: DatastoreKind;
  /** The record of that path; undefined when there is none. */
  get(path: string, options?: CallOptions): Promise<StoredRecord | undefined>;
  /** All records whose path begins with `prefix` (`blocks/`, `blocks/10-244-`), in the order of their paths. */
  list(prefix: string, options?: CallOptions): Promise<StoredRecord[]>;
  /** Makes a record. Throws `exists` when its path has one. */
  create(path: string, value: JsonObject, options?: CallOptions): Promise<StoredRecord>;
  /** Gives a record a new value. Throws `conflict` when its version is another by now, `not-found` when it is gone. */
  replace(known: KnownVersion, value: JsonObject, options?: CallOptions): Promise<StoredRecord>;
  /** Removes a record. Throws `conflict` when its version is another by now, `not-found` when it is gone. */
  remove(known: KnownVersion, options?: CallOptions): Promise<void>;
  /** Tells `listener` of the records under a prefix until `signal` is aborted, through failures; resolves then. */
  watch(prefix: string, listener: DatastoreListener, signal: AbortSignal): Promise<void>;
  /** Lets go of connections and timers; nothing is called afterwards. */
  close(): void;
}

export type DatastoreKind = 'file' | 'etcd' | 'kubernetes';

/**
 * The kinds of records, which are the first part of every path: `pools/<name>` (ranges of addresses and who may use
 * them), `blocks/<network>` (which node has a block) and `addresses/<address>` (fixed and sticky addresses).
 */
export const collections = ['pools', 'blocks', 'addresses'] as const;

export type Collection = (typeof collections)[number];

export interface KnownVersion {
  /** `<collection>/<name>`; the name as Kubernetes names objects: see `splitPath`. */
  path: string;
  /** What the datastore calls this state of the record. Opaque; a path never has the same one twice. */
  version: string;
}

export interface StoredRecord extends KnownVersion {
  value: JsonObject;
}

export interface CallOptions {
  /** When the call must have ended, in ms from now; default 5000. */
  deadlineMs?: number;
  /** Ends the call early, with `unavailable`. */
  signal?: AbortSignal;
}

export const defaultDeadlineMs = 5000;

/** What a watch tells. Of several changes in short order only the last may be told. */
export interface DatastoreListener {
  /** All records there are: at first, and after every gap in what could be told. */
  records(records: StoredRecord[]): void;
  /** A record was made, or has a new value. */
  changed(record: StoredRecord): void;
  removed(path: string): void;
  /** The datastore cannot be reached; the watch goes on trying. */
  trouble(error: DatastoreError): void;
}

export type DatastoreProblem = 'exists' | 'conflict' | 'not-found' | 'unavailable';

/**
 * A call that did not do what it was asked for. A CniError 11: what nobody handles is to be tried again. Wrong
 * configuration, such as a certificate file that is missing, is a CniError 5 or 7 from where the datastore is made.
 */
export class DatastoreError extends CniError {
  readonly problem: DatastoreProblem;

  constructor(
    problem: DatastoreProblem,
    message: string,
    options: { details?: string; cause?: unknown } = {},
  ) {
    super(ErrorCode.tryAgainLater, message, {
      details: options.details ?? advice[problem],
      cause: options.cause,
    });
    this.problem = problem;
  }
}

const advice: Record<DatastoreProblem, string> = {
  exists: 'Another node was faster. Try again.',
  conflict: 'Another node changed the record at the same time. Try again.',
  'not-found': 'Another node removed the record. Try again.',
  unavailable: 'See that the datastore runs and that this node reaches it, then try again.',
};

/** Whether something thrown is a DatastoreError of one of these problems. */
export const hasProblem = (error: unknown, ...problems: DatastoreProblem[]): error is DatastoreError =>
  error instanceof DatastoreError && problems.includes(error.problem);

export const recordExists = (path: string): DatastoreError =>
  new DatastoreError('exists', `the record ${path} exists already`);

export const recordConflict = (path: string): DatastoreError =>
  new DatastoreError('conflict', `the record ${path} was changed by another`);

export const recordNotFound = (path: string): DatastoreError =>
  new DatastoreError('not-found', `the record ${path} is gone`);

/**
 * The two parts of a record's path. The name is a DNS subdomain as Kubernetes' object names are: lower-case letters,
 * digits, `-` and `.`, at most 253, with a letter or digit at both ends of each label. Throws an Error for other paths,
 * which are a defect of the caller.
 */
export const splitPath = (path: string): { collection: Collection; name: string } => {
  const slash = path.indexOf('/');
  const collection = collections.find((known) => known === path.slice(0, slash));
  const name = path.slice(slash + 1);
  if (collection === undefined || !isRecordName(name)) throw new Error(`"${path}" is no path of a record`);
  return { collection, name };
};

/** The parts of a prefix for `list` and `watch`: a collection, `/`, and the beginning of a name or nothing. */
export const splitPrefix = (prefix: string): { collection: Collection; start: string } => {
  const slash = prefix.indexOf('/');
  const collection = collections.find((known) => known === prefix.slice(0, slash));
  const start = prefix.slice(slash + 1);
  if (collection === undefined || !/^[a-z0-9.-]*$/.test(start))
    throw new Error(`"${prefix}" is no prefix of records`);
  return { collection, start };
};

export const isRecordName = (name: string): boolean =>
  name.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name);
