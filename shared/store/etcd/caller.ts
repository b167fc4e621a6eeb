import { Endpoints } from './endpoints.ts';
import { EtcdError, hasEtcdProblem } from './errors.ts';
import type { CheckedOptions } from './options.ts';
import { paused } from './pause.ts';
import { type OpenStream, openStream, post } from './request.ts';
import { TlsSession } from './tls-session.ts';
import { readPassword, Tokens } from './tokens.ts';

export interface CallOptions {
  /** When the call must have ended, in ms from now. */
  deadlineMs?: number | undefined;
  /** Ends the call early. */
  signal?: AbortSignal | undefined;
}

export interface RequestOptions extends CallOptions {
  /** It may be done twice: so it is sent again when no answer came. */
  repeatable: boolean;
  /** Sent without a token: the request for one. */
  anonymous?: boolean;
}

/** Sends requests to whichever member answers, with a token where there is a user. */
export class EtcdCaller {
  readonly options: CheckedOptions;
  readonly #endpoints: Endpoints;
  readonly #session: TlsSession;
  readonly #tokens: Tokens;
  readonly #streams = new Map<string, Set<() => void>>();

  constructor(options: CheckedOptions) {
    this.options = options;
    // Not all clients of a cluster shall talk to its first member.
    this.#endpoints = new Endpoints(rotated(options.endpoints, Math.random()));
    this.#session = new TlsSession(options.tls ?? {});
    this.#tokens = new Tokens(this, options);
  }

  /**
   * The answer to one request. Another member is tried when one fails, and all again after a pause, three times; a
   * request that is not `repeatable` only if surely nothing was done. Throws EtcdError, or CniError 7 for files that
   * cannot be read.
   */
  async call<T>(path: string, body: object, options: RequestOptions): Promise<T> {
    const deadline = performance.now() + (options.deadlineMs ?? this.options.deadlineMs);
    return this.#trying(deadline, options, (url, token, ms) =>
      post<T>(this.#session.open(), url + path, body, token, ms, options.signal),
    );
  }

  /** Opens a stream of answers; `signal` ends it. Throws as `call`. */
  async open<T>(path: string, body: object, signal: AbortSignal): Promise<OpenStream<T>> {
    const deadline = performance.now() + this.options.deadlineMs;
    return this.#trying(deadline, { repeatable: true, signal }, (url, token, ms) =>
      openStream<T>(this.#session.open(), url, path, body, token, ms, signal),
    );
  }

  /** Throws CniError 7 for a file that cannot be read. */
  checkFiles(): void {
    this.#session.open();
    if (this.options.passwordFile !== undefined) readPassword(this.options.passwordFile);
  }

  /** A stream of this member ended as it should not. */
  failed(url: string): void {
    this.#endpoints.failed(url);
  }

  /**
   * Calls `renew` when this member fails to answer a call, until the function that is returned is called: so a stream
   * that is silent need not wait until it is found to be dead.
   */
  onFailure(url: string, renew: () => void): () => void {
    const renewals = this.#streams.get(url) ?? new Set();
    this.#streams.set(url, renewals.add(renew));
    return () => renewals.delete(renew);
  }

  /** The token was said to be invalid: the next request has a new one. */
  renewToken(token: string | undefined): void {
    this.#tokens.forget(token);
  }

  close(): void {
    this.#session.close();
  }

  async #trying<T>(
    deadline: number,
    options: RequestOptions,
    send: (url: string, token: string | undefined, ms: number) => Promise<T>,
  ): Promise<T> {
    const failures = new Map<string, EtcdError>();
    let renewed = false;
    for (let round = 0; ; round++) {
      for (const url of this.#endpoints.inOrder()) {
        const left = deadline - performance.now();
        if (left <= 0) throw summary([...failures.values()]);
        // One member that hangs must leave time for the others.
        const ms = this.#endpoints.count === 1 ? left : Math.min(left, Math.max(left / 2, 1000));
        for (;;) {
          const token = options.anonymous ? undefined : await this.#tokens.current(deadline, options.signal);
          try {
            const answer = await send(url, token, ms);
            this.#endpoints.succeeded(url);
            return answer;
          } catch (error) {
            const failure = error as EtcdError;
            if (hasEtcdProblem(failure, 'token') && token !== undefined && !renewed) {
              renewed = true;
              this.#tokens.forget(token);
              continue;
            }
            if (!isPassing(failure)) throw asDenied(failure);
            this.#endpoints.failed(url);
            for (const renew of this.#streams.get(url) ?? []) renew();
            failures.set(url, failure);
            if (failure.problem === 'unanswered' && !options.repeatable) throw failure;
            break;
          }
        }
      }
      if (failures.values().every(({ problem }) => problem === 'denied'))
        throw summary([...failures.values()]);
      const pause = 100 * 2 ** round * (0.5 + Math.random());
      if (round === rounds - 1 || performance.now() + pause > deadline) throw summary([...failures.values()]);
      await paused(pause, options.signal);
    }
  }
}

/** How often all members are tried. */
const rounds = 4;

// Another member may have a valid certificate, or accept ours.
const isPassing = (error: unknown): error is EtcdError =>
  hasEtcdProblem(error, 'unreachable', 'busy', 'unanswered') ||
  (hasEtcdProblem(error, 'denied') && /TLS|certificate of/.test(error.message));

/** A token that is refused also when it is new is wrong for good. */
const asDenied = (failure: unknown): unknown =>
  hasEtcdProblem(failure, 'token')
    ? new EtcdError('denied', failure.message, failure.details, failure)
    : failure;

/** One error for all members: of the worst kind in what it leaves open. */
const summary = (failures: EtcdError[]): EtcdError => {
  const [first] = failures;
  if (first === undefined) return new EtcdError('unreachable', 'the call of etcd had no time left');
  if (failures.length === 1) return first;
  const problems = new Set(failures.map(({ problem }) => problem));
  const problem = (['unanswered', 'busy', 'unreachable', 'denied'] as const).find((one) => problems.has(one));
  const details = [...new Set(failures.map((failure) => failure.details))].join(' ');
  return new EtcdError(problem ?? first.problem, failures.map(({ message }) => message).join('; '), details);
};

const rotated = (urls: readonly string[], share: number): string[] => {
  const start = Math.floor(urls.length * share);
  return [...urls.slice(start), ...urls.slice(0, start)];
};
