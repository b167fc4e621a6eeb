import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { JsonObject } from '../../../shared/cni/types.ts';
import type { KubernetesAccess } from '../../../shared/store/kubernetes/access.ts';
import type { KubernetesObject } from '../../../shared/store/kubernetes/resource.ts';
import type { Authority, Certificate } from './certificates.ts';
import { type Precondition, Refusal, ScriptedObjects } from './scripted-objects.ts';

/** A request that came, as a test looks at it. */
export interface SeenRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  authorization: string | null;
}

export type Answer = (request: SeenRequest) => Response | Promise<Response>;

/**
 * A counterpart that speaks the API server's wire format over HTTPS and does what a test tells it: a kube-apiserver
 * can't be made to send half an event. Objects are at their collection's path, such as `/api/v1/nodes`.
 */
export class ScriptedApiServer {
  readonly objects = new ScriptedObjects();
  readonly requests: SeenRequest[] = [];
  /** Who is let in; undefined: everybody. */
  tokens: Set<string> | undefined;
  readonly #watches = new Set<Watch>();
  readonly #scripted: { method: string; path: string; answer: Answer }[] = [];
  readonly #authority: Authority;
  readonly #certificate: Certificate;
  #server: Server | undefined;
  #port = 0;

  private constructor(authority: Authority, certificate: Certificate) {
    this.#authority = authority;
    this.#certificate = certificate;
  }

  static async start(authority: Authority, names = 'DNS:localhost,IP:127.0.0.1'): Promise<ScriptedApiServer> {
    const server = new ScriptedApiServer(authority, await authority.issue({ names }));
    await server.listen();
    return server;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /** Takes requests, on the port that it had before. */
  async listen(): Promise<void> {
    const { cert, key } = this.#certificate;
    // Not Bun.serve, which sends the head of an answer only with the first of its body.
    const server = createServer({ cert, key }, (request, response) => void this.#respond(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Closes the port and all connections, as a server that is killed. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    for (const watch of this.#watches) watch.done();
  }

  /** Breaks all connections, in the middle of whatever is sent. */
  async breakConnections(): Promise<void> {
    await this.stop();
    await this.listen();
  }

  access(token?: () => string): KubernetesAccess {
    return {
      server: this.url,
      authority: () => this.#authority.own.cert,
      serverName: undefined,
      credentials: { current: () => ({ token: token?.() }), describe: 'the token of the test' },
      source: 'the test',
    };
  }

  /** The next request of that kind is answered so, once. */
  next(method: string, path: string, answer: Answer): void {
    this.#scripted.push({ method, path, answer });
  }

  /** How many watches are open. */
  get watching(): number {
    return this.#watches.size;
  }

  /** How many requests of that kind came; a watch counts as `WATCH`. */
  count(method: string, path: string): number {
    return this.requests.filter((seen) => verbOf(seen) === method && seen.path === path).length;
  }

  /** Sends text to all watches. */
  say(text: string): void {
    for (const watch of this.#watches) watch.write(text);
  }

  bookmark(): void {
    const metadata = { resourceVersion: String(this.objects.revision) };
    this.say(
      `${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Node', apiVersion: 'v1', metadata } })}\n`,
    );
  }

  /** Ends all watches, as a server does when their time is over. */
  endWatches(): void {
    for (const watch of this.#watches) watch.end();
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      authorization: request.headers.authorization ?? null,
    };
    this.requests.push(seen);
    const answer = await this.#answer(seen, request);
    if (answer instanceof Response) {
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    } else {
      this.#watch(response, answer.watch, seen.query);
    }
  }

  async #answer(seen: SeenRequest, request: IncomingMessage): Promise<Response | { watch: string }> {
    const index = this.#scripted.findIndex(
      ({ method, path }) => method === verbOf(seen) && path === seen.path,
    );
    const [scripted] = index < 0 ? [] : this.#scripted.splice(index, 1);
    if (scripted !== undefined) return scripted.answer(seen);
    if (this.tokens !== undefined && !this.tokens.has(seen.authorization?.replace('Bearer ', '') ?? '')) {
      return status(new Refusal(401, 'Unauthorized', 'Unauthorized'));
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    return this.#serve(seen, body === '' ? undefined : (JSON.parse(body) as JsonObject));
  }

  #serve({ method, path, query }: SeenRequest, body: JsonObject | undefined): Response | { watch: string } {
    const match = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)\/([^/]+)(?:\/([^/]+)(\/status)?)?$/.exec(path);
    if (match === null)
      return status(new Refusal(404, 'NotFound', 'the server could not find the requested resource'));
    const [, root, plural, name, part] = match;
    const collection = `${root}/${plural}`;
    if (name === undefined) {
      if (method === 'POST') return answerWith(this.objects.create(collection, body ?? {}), 201);
      return query.watch === 'true' ? { watch: collection } : this.#list(collection, query);
    }
    if (method === 'PUT') {
      return answerWith(this.objects.replace(collection, name, body as KubernetesObject, part !== undefined));
    }
    if (method === 'DELETE')
      return answerWith(
        this.objects.remove(collection, name, body?.preconditions as Precondition | undefined),
      );
    return answerWith(this.objects.get(collection, name));
  }

  #list(collection: string, { limit, continue: continued }: Record<string, string>): Response {
    const from =
      continued === undefined
        ? undefined
        : (JSON.parse(atob(continued)) as { revision: number; after: string });
    if (from !== undefined && from.revision < this.objects.oldest) {
      return status(new Refusal(410, 'Expired', 'The provided continue parameter is too old'));
    }
    const all = this.objects.all(collection).filter(({ metadata }) => metadata.name > (from?.after ?? ''));
    const revision = from?.revision ?? this.objects.revision;
    const items = limit === undefined ? all : all.slice(0, Number(limit));
    const more = items.length < all.length && {
      continue: btoa(JSON.stringify({ revision, after: items.at(-1)?.metadata.name })),
    };
    return Response.json({
      kind: 'List',
      apiVersion: 'v1',
      metadata: { resourceVersion: String(revision), ...more },
      items,
    });
  }

  #watch(response: ServerResponse, collection: string, { resourceVersion }: Record<string, string>): void {
    const after = Number(resourceVersion);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (after < this.objects.oldest - 1) {
      const { body } = new Refusal(410, 'Expired', `too old resource version: ${after}`);
      response.end(`${JSON.stringify({ type: 'ERROR', object: body })}\n`);
      return;
    }
    const unfollow = this.objects.follow(collection, after, ({ type, object }) =>
      response.write(`${JSON.stringify({ type, object })}\n`),
    );
    const watch: Watch = {
      write: (text) => void response.write(text),
      end: () => void response.end(),
      done: () => {
        unfollow();
        this.#watches.delete(watch);
      },
    };
    this.#watches.add(watch);
    response.on('close', watch.done);
  }
}

/** One watch's stream. */
interface Watch {
  write(text: string): void;
  end(): void;
  /** Its connection is closed. */
  done(): void;
}

/** A Status object as an answer, with `headers`. */
export const status = (refusal: Refusal, headers: Record<string, string> = {}): Response =>
  Response.json(refusal.body, { status: refusal.code, headers });

const answerWith = (result: KubernetesObject | Refusal, code = 200): Response =>
  result instanceof Refusal ? status(result) : Response.json(result, { status: code });

const verbOf = ({ method, query }: SeenRequest): string => (query.watch === 'true' ? 'WATCH' : method);
