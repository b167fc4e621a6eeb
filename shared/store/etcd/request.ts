import { connectionFailure, EtcdError, noAnswer, refusal } from './errors.ts';

type Fetch = Bun.FetchSession['fetch'];

/** A stream of answers, and who sends it with which token. */
export interface OpenStream<T> {
  url: string;
  token: string | undefined;
  messages: AsyncIterable<T[]>;
}

/** One POST to one member. Throws EtcdError; after `ms`, `unanswered`. */
export const post = async <T>(
  fetch: Fetch,
  url: string,
  body: object,
  token: string | undefined,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<T> =>
  withDeadline(url, ms, signal, async (limit) => {
    const response = await fetch(url, requestOf(body, token, limit.signal));
    const text = await response.text();
    if (response.status !== 200) throw refusal(hostOf(url), messageOf(text), response.status);
    const answer = parse<T & StreamLine<T>>(text, url);
    // keepalive is a stream to etcd, though one answer is all we ask for.
    if (answer.error !== undefined) throw refusal(hostOf(url), answer.error.message ?? '', 500);
    return answer.result ?? answer;
  });

/** One POST whose answer is a stream of JSON lines; `ms` is the time until it begins. */
export const openStream = async <T>(
  fetch: Fetch,
  member: string,
  path: string,
  body: object,
  token: string | undefined,
  ms: number,
  signal: AbortSignal,
): Promise<OpenStream<T>> =>
  withDeadline(member, ms, signal, async (limit) => {
    const request = requestOf(body, token, limit.signal);
    // A member that loses its leader ends the stream, in place of being silent.
    request.headers['Grpc-Metadata-hasleader'] = 'true';
    const response = await fetch(member + path, request);
    if (response.status !== 200 || response.body === null) {
      throw refusal(hostOf(member), messageOf(await response.text()), response.status);
    }
    return { url: member, token, messages: linesOf<T>(response.body, member) };
  });

/** How an error names a member. */
export const hostOf = (url: string): string => new URL(url).host;

const requestOf = (body: object, token: string | undefined, signal: AbortSignal) => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json', ...(token ? { authorization: token } : {}) } as Record<
    string,
    string
  >,
  redirect: 'error' as const,
  // Else BUN_CONFIG_VERBOSE_FETCH prints tokens and passwords.
  verbose: false,
  signal,
});

/**
 * The outer signal stays tied to what `use` began, the timer only until `use` is done: a stream goes on after that.
 */
const withDeadline = async <T>(
  url: string,
  ms: number,
  signal: AbortSignal | undefined,
  use: (limit: AbortController) => Promise<T>,
): Promise<T> => {
  const limit = new AbortController();
  const abort = (): void => limit.abort();
  if (signal?.aborted) throw aborted();
  signal?.addEventListener('abort', abort);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    limit.abort();
  }, ms);
  let streams = false;
  try {
    const result = await use(limit);
    streams = (result as { messages?: unknown } | null)?.messages !== undefined;
    return result;
  } catch (error) {
    if (error instanceof EtcdError) throw error;
    if (late) throw noAnswer(hostOf(url), ms);
    if (signal?.aborted) throw aborted();
    throw connectionFailure(hostOf(url), error);
  } finally {
    clearTimeout(timer);
    if (!streams) signal?.removeEventListener('abort', abort);
  }
};

const aborted = (): EtcdError => new EtcdError('aborted', 'the call of etcd was ended');

interface StreamLine<T> {
  result?: T;
  error?: { message?: string };
}

/** The messages of each chunk that completes any. Ends where the stream ends; throws EtcdError when it breaks. */
async function* linesOf<T>(body: ReadableStream<Uint8Array>, url: string): AsyncGenerator<T[]> {
  const decoder = new TextDecoder();
  let begun: string[] = [];
  try {
    for await (const chunk of body) {
      const text = decoder.decode(chunk, { stream: true });
      const end = text.lastIndexOf('\n');
      if (end < 0) {
        begun.push(text);
        continue;
      }
      const lines = [...begun, text.slice(0, end)].join('').split('\n');
      begun = [text.slice(end + 1)];
      yield lines.filter((line) => line.trim() !== '').map((line) => resultOf<T>(line, url));
    }
  } catch (error) {
    throw error instanceof EtcdError ? error : connectionFailure(hostOf(url), error);
  }
}

const resultOf = <T>(line: string, url: string): T => {
  const { result, error } = parse<StreamLine<T>>(line, url);
  if (result !== undefined) return result;
  throw refusal(hostOf(url), error?.message ?? 'a message without content', 500);
};

const parse = <T>(text: string, url: string): T => {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new EtcdError(
      'unanswered',
      `etcd at ${hostOf(url)} answered with what is no JSON`,
      'See that etcd is what listens there.',
    );
  }
};

/** The gateway's errors are JSON; what stands before it (a proxy, a full server) may answer with text. */
const messageOf = (text: string): string => {
  try {
    const { message, error } = JSON.parse(text) as { message?: unknown; error?: unknown };
    return String(message ?? error ?? text);
  } catch {
    return text;
  }
};
