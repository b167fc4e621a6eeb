import { type CallOptions, EtcdCaller } from './caller.ts';
import {
  decodeEntry,
  decodeInt64,
  type EncodedEntry,
  type EncodedHeader,
  type EtcdEntry,
  encodeKeyAfter,
  encodePrefixEnd,
  encodeText,
} from './encoding.ts';
import { hasEtcdProblem } from './errors.ts';
import { checkOptions, type EtcdOptions } from './options.ts';
import { type Comparison, encodeTransaction, type Operation } from './transaction.ts';
import { type WatchEnd, type WatchHandlers, watchPrefix } from './watch.ts';

export type { CallOptions } from './caller.ts';

/** Entries as they were at one revision of the store. */
export interface EtcdRange {
  entries: EtcdEntry[];
  revision: bigint;
  /** Of the cluster: another one, or a lower revision, is another store. */
  clusterId: string;
}

export interface TransactionResult {
  /** Whether all comparisons held, and so the operations for that case were done. */
  succeeded: boolean;
  revision: bigint;
  /** What the `get` operations found, in their order. */
  found: (EtcdEntry | undefined)[];
}

/**
 * A client of etcd 3.4 and later over its JSON gateway: no gRPC, which would be 60 MB and 80 ms of start-up. Reads are
 * linearizable. Every call ends by its deadline. Throws EtcdError.
 */
export class EtcdClient {
  readonly #caller: EtcdCaller;

  /** Nothing is sent yet. Throws CniError 7 for wrong options. */
  constructor(options: EtcdOptions) {
    this.#caller = new EtcdCaller(checkOptions(options));
  }

  /** Reads the files that the options name. Throws CniError 7 for one that cannot be read or is not what it must be. */
  checkFiles(): void {
    this.#caller.checkFiles();
  }

  async get(key: string, options: CallOptions = {}): Promise<EtcdEntry | undefined> {
    const { kvs = [] } = await this.#read({ key: encodeText(key) }, options);
    return kvs[0] === undefined ? undefined : decodeEntry(kvs[0]);
  }

  /** All keys with a prefix in their order, read in pages, all as of the revision of the first. */
  async range(prefix: string, options: CallOptions & { pageSize?: number } = {}): Promise<EtcdRange> {
    const deadline = performance.now() + (options.deadlineMs ?? this.#caller.options.deadlineMs);
    const pageSize = options.pageSize ?? 1000;
    const end = encodePrefixEnd(prefix);
    const entries: EtcdEntry[] = [];
    let key = encodeText(prefix);
    let header: EncodedHeader | undefined;
    for (;;) {
      const page = await this.#read(
        { key, range_end: end, limit: String(pageSize), ...(header && { revision: header.revision }) },
        { signal: options.signal, deadlineMs: Math.max(1, deadline - performance.now()) },
      );
      header ??= page.header;
      for (const entry of page.kvs ?? []) entries.push(decodeEntry(entry));
      const last = entries.at(-1);
      if (!page.more || last === undefined) break;
      key = encodeKeyAfter(last.key);
    }
    return { entries, revision: decodeInt64(header?.revision), clusterId: header?.cluster_id ?? '' };
  }

  /** Gives a key a value, whatever it had. May be sent twice when no answer came. */
  async put(key: string, value: string, options: CallOptions & { lease?: string } = {}): Promise<void> {
    const body = {
      key: encodeText(key),
      value: encodeText(value),
      ...(options.lease && { lease: options.lease }),
    };
    await this.#caller.call('/v3/kv/put', body, { ...options, repeatable: true });
  }

  /** Deletes a key, if it is there. May be sent twice when no answer came. */
  async delete(key: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('/v3/kv/deleterange', { key: encodeText(key) }, { ...options, repeatable: true });
  }

  /**
   * Does `success` if all comparisons hold, else `failure`, as one. It is sent again only if surely nothing was done:
   * after `unanswered` the caller reads before it tries again. One of gets alone is sent again in any case.
   */
  async transaction(
    {
      compare,
      success,
      failure = [],
    }: { compare: Comparison[]; success: Operation[]; failure?: Operation[] },
    options: CallOptions = {},
  ): Promise<TransactionResult> {
    const repeatable = [...success, ...failure].every(({ do: action }) => action === 'get');
    const answer = await this.#caller.call<TransactionAnswer>(
      '/v3/kv/txn',
      encodeTransaction(compare, success, failure),
      { ...options, repeatable },
    );
    return {
      succeeded: answer.succeeded ?? false,
      revision: decodeInt64(answer.header?.revision),
      found: (answer.responses ?? [])
        .filter(({ response_range }) => response_range !== undefined)
        .map(({ response_range }) => response_range?.kvs?.[0])
        .map((entry) => entry && decodeEntry(entry)),
    };
  }

  /** A lease of `ttlSeconds`, or somewhat more if etcd wants so; its id. */
  async grantLease(ttlSeconds: number, options: CallOptions = {}): Promise<string> {
    // With an id of our own the request may be repeated.
    const id = String(BigInt.asUintN(63, crypto.getRandomValues(new BigUint64Array(1))[0] ?? 1n) || 1n);
    try {
      await this.#caller.call(
        '/v3/lease/grant',
        { ID: id, TTL: String(ttlSeconds) },
        { ...options, repeatable: true },
      );
    } catch (error) {
      if (!hasEtcdProblem(error, 'lease-exists')) throw error;
    }
    return id;
  }

  /** Lets the lease begin anew. False when it is gone, and the keys with it. */
  async keepLease(id: string, options: CallOptions = {}): Promise<boolean> {
    const { TTL } = await this.#caller.call<{ TTL?: string }>(
      '/v3/lease/keepalive',
      { ID: id },
      { ...options, repeatable: true },
    );
    return decodeInt64(TTL) > 0n;
  }

  /** Ends the lease, and deletes the keys that go with it. */
  async revokeLease(id: string, options: CallOptions = {}): Promise<void> {
    try {
      await this.#caller.call('/v3/lease/revoke', { ID: id }, { ...options, repeatable: true });
    } catch (error) {
      if (!hasEtcdProblem(error, 'lease-gone')) throw error;
    }
  }

  /** As watchPrefix. */
  watch(
    prefix: string,
    fromRevision: bigint,
    handlers: WatchHandlers,
    signal: AbortSignal,
  ): Promise<WatchEnd> {
    return watchPrefix(this.#caller, prefix, fromRevision, handlers, signal);
  }

  /** Closes idle connections. */
  close(): void {
    this.#caller.close();
  }

  #read(body: object, options: CallOptions): Promise<RangeAnswer> {
    return this.#caller.call<RangeAnswer>('/v3/kv/range', body, { ...options, repeatable: true });
  }
}

interface RangeAnswer {
  header?: EncodedHeader;
  kvs?: EncodedEntry[];
  more?: boolean;
}

interface TransactionAnswer {
  header?: EncodedHeader;
  succeeded?: boolean;
  responses?: { response_range?: { kvs?: EncodedEntry[] } }[];
}
