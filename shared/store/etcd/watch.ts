import { CniError } from '../../cni/errors.ts';
import type { EtcdCaller } from './caller.ts';
import {
  decodeEntry,
  decodeInt64,
  type EncodedEntry,
  type EncodedHeader,
  type EtcdEntry,
  encodePrefixEnd,
  encodeText,
} from './encoding.ts';
import { EtcdError, hasEtcdProblem, noAnswer, refusal } from './errors.ts';
import { paused } from './pause.ts';
import { hostOf } from './request.ts';

/** A key was given a value, or deleted: then the entry has no value. */
export interface EtcdEvent {
  type: 'put' | 'delete';
  entry: EtcdEntry;
}

export interface WatchHandlers {
  /** Changes in the order of their revisions; those of one revision come together. */
  events(events: EtcdEvent[]): void;
  /** The watch does not hear of changes any more; told once for each cause until it does again. */
  trouble(error: CniError): void;
  /** It hears of changes: at first, and after trouble. */
  connected?(): void;
}

/** `list-again`: what happened since the last event cannot be told, as the store compacted it or is another one. */
export type WatchEnd = 'aborted' | 'list-again';

/**
 * Tells of all changes of keys with a prefix from a revision on, until `signal` is aborted, through failures and
 * reconnects. A stream that is silent for `silenceMs` may be dead without anybody having told us (a peer that lost its
 * power sends nothing), as may one of a member that does not answer calls: it is opened anew, from the next revision. Throws nothing but what a handler throws.
 */
export const watchPrefix = async (
  caller: EtcdCaller,
  prefix: string,
  fromRevision: bigint,
  handlers: WatchHandlers,
  signal: AbortSignal,
): Promise<WatchEnd> => {
  const position = { next: fromRevision };
  let failures = 0;
  let told: string | undefined = '';
  const connected = (): void => {
    failures = 0;
    if (told === undefined) return;
    told = undefined;
    handlers.connected?.();
  };
  while (!signal.aborted) {
    try {
      const end = await readStream(caller, prefix, position, { ...handlers, connected }, signal);
      if (end === 'list-again') return end;
      // By a proxy that ends what was idle, or a member that is stopped in good order. Not in a tight loop.
      if (end === 'ended') await paused(100 + Math.random() * 100, signal);
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof CniError)) throw error;
      // That a token has ended is no news, unless a new one is no better.
      const expired = hasEtcdProblem(error, 'token') && failures === 0 && caller.options.user !== undefined;
      if (!expired && error.message !== told) {
        told = error.message;
        handlers.trouble(error);
      }
      await paused(Math.min(5000, 100 * 2 ** failures) * (0.5 + Math.random()), signal);
      failures++;
    }
  }
  return 'aborted';
};

/** `etcdserverpb.WatchResponse` in JSON. */
interface WatchResponse {
  header?: EncodedHeader;
  created?: boolean;
  canceled?: boolean;
  cancel_reason?: string;
  compact_revision?: string;
  fragment?: boolean;
  events?: { type?: 'DELETE'; kv: EncodedEntry }[];
}

const readStream = async (
  caller: EtcdCaller,
  prefix: string,
  position: { next: bigint },
  handlers: Required<WatchHandlers>,
  outer: AbortSignal,
): Promise<'silent' | 'ended' | 'list-again'> => {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  outer.addEventListener('abort', abort);
  let silent = false;
  let timer: Timer | undefined;
  const renew = (): void => {
    silent = true;
    stop.abort();
  };
  const listen = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(renew, ms);
  };
  let created = false;
  let forget: (() => void) | undefined;
  let source: { url: string; token: string | undefined } | undefined;
  try {
    const stream = await caller.open<WatchResponse>(
      '/v3/watch',
      requestOf(prefix, position.next),
      stop.signal,
    );
    source = stream;
    forget = caller.onFailure(stream.url, renew);
    listen(caller.options.deadlineMs);
    let fragments: EtcdEvent[] = [];
    for await (const messages of stream.messages) {
      for (const message of messages) {
        const revision = decodeInt64(message.header?.revision);
        if (message.canceled) {
          if (decodeInt64(message.compact_revision) > 0n) return 'list-again';
          throw refusal(hostOf(stream.url), message.cancel_reason ?? 'the watch was cancelled', 500);
        }
        if (message.created) {
          // A store that was restored or replaced would be silent until it comes to our revision.
          if (revision < position.next - 1n) return 'list-again';
          created = true;
          handlers.connected();
          continue;
        }
        const events = (message.events ?? []).map(eventOf);
        fragments.push(...events);
        if (message.fragment) continue;
        const complete = fragments;
        fragments = [];
        const last = complete.at(-1);
        if (last !== undefined) {
          position.next = last.entry.modRevision + 1n;
          handlers.events(complete);
        } else if (revision >= position.next) {
          // Notice of progress: nothing changed up to there, so that compaction does not pass us.
          position.next = revision + 1n;
        }
      }
      listen(caller.options.silenceMs);
    }
    if (created) return 'ended';
    throw new EtcdError('unanswered', `etcd at ${hostOf(stream.url)} ended a watch before it began`, advice);
  } catch (thrown) {
    if (silent && created && !outer.aborted) return 'silent';
    const error = silent && source ? noAnswer(hostOf(source.url), caller.options.deadlineMs) : thrown;
    if (source !== undefined) {
      if (hasEtcdProblem(error, 'token')) caller.renewToken(source.token);
      else if (!outer.aborted && error instanceof EtcdError) caller.failed(source.url);
    }
    throw error;
  } finally {
    clearTimeout(timer);
    forget?.();
    outer.removeEventListener('abort', abort);
    stop.abort();
  }
};

const advice = 'See that what listens there is etcd, or passes streams on to it.';

const requestOf = (prefix: string, revision: bigint): object => ({
  create_request: {
    key: encodeText(prefix),
    range_end: encodePrefixEnd(prefix),
    start_revision: String(revision),
    progress_notify: true,
    fragment: true,
  },
});

const eventOf = ({ type, kv }: { type?: 'DELETE'; kv: EncodedEntry }): EtcdEvent => ({
  type: type === 'DELETE' ? 'delete' : 'put',
  entry: decodeEntry(kv),
});
