import { CniError, ErrorCode } from '../shared/cni/errors.ts';
import type { AgentMetrics } from './metrics.ts';
import type { HealthAddress } from './settings.ts';
import type { AgentStatus } from './status.ts';

export interface HealthServer {
  /** `http://127.0.0.1:18472` */
  url: string;
  stop(): Promise<void>;
}

/**
 * Serves `/healthz` (the agent runs), `/readyz` (this node is in order; else 503 with the reasons) and
 * `/metrics` (Prometheus text). Throws CniError 103 when the address is taken, 7 when it is not this host's.
 */
export const startHealthServer = (
  { hostname, port }: HealthAddress,
  status: AgentStatus,
  metrics: AgentMetrics,
): HealthServer => {
  const routes: Record<string, () => Response | Promise<Response>> = {
    '/healthz': () =>
      status.alive() ? text('ok\n') : text(`a sync hangs since ${status.syncing?.toISOString()}\n`, 503),
    '/readyz': () => readyz(status),
    '/metrics': async () =>
      new Response(await metrics.text(), { headers: { 'content-type': metrics.contentType } }),
  };
  const fetch = (request: Request): Response | Promise<Response> => {
    // Without a Host header, as HTTP/1.0 allows, the URL is a path alone.
    const route = routes[new URL(request.url, 'http://localhost').pathname];
    if (route === undefined) return text(`Not found. There is ${Object.keys(routes).join(', ')}.\n`, 404);
    if (request.method !== 'GET' && request.method !== 'HEAD') return text('Only GET.\n', 405);
    return route();
  };
  // Without it bun prints a stack trace with source on stderr.
  const error = (cause: Error): Response => text(`${cause.message}\n`, 500);
  try {
    const server = Bun.serve({ hostname, port, fetch, error, development: false, maxRequestBodySize: 0 });
    return { url: server.url.origin, stop: () => server.stop(true) };
  } catch (error) {
    throw listenFailure(hostname, port, error);
  }
};

const readyz = (status: AgentStatus): Response => {
  const readiness = status.readiness();
  const { outcome, lastSuccess, registryTrouble } = status;
  return Response.json(
    {
      ...readiness,
      registry: {
        kind: status.registryKind,
        up: registryTrouble === undefined,
        nodes: status.nodes,
        ...(registryTrouble && { staleSince: registryTrouble.since }),
      },
      ...(outcome && { node: outcome.state, peers: outcome.peers }),
      ...(lastSuccess && { lastSuccess }),
    },
    { status: readiness.ready ? 200 : 503 },
  );
};

const text = (body: string, status = 200): Response =>
  new Response(body, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } });

const listenFailure = (hostname: string, port: number, error: unknown): CniError => {
  const taken = (error as { code?: string }).code === 'EADDRINUSE';
  return new CniError(
    taken ? ErrorCode.conflict : ErrorCode.invalidNetworkConfig,
    `cannot listen on --health-address ${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}: ${(error as Error).message}`,
    { details: 'Choose another --health-address, or "off".', cause: error },
  );
};
