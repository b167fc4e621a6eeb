import { CniError } from '../../cni/errors.ts';
import type { Credential, KubernetesAccess } from './access.ts';
import { type Attempt, failureOf, KubernetesFailure, noAnswer } from './failure.ts';

export interface RequestOptions extends Attempt {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With the query. */
  path: string;
  body?: object | undefined;
  /** Ends the request. */
  signal?: AbortSignal | undefined;
  /** When the answer's head must be there, in ms from now. */
  headMs: number;
}

/** One request and its answer; the body is to be read. */
export interface Transport {
  readonly server: string;
  send(options: RequestOptions): Promise<Response>;
}

/**
 * A sender of single requests. Only verified TLS, without regard to the environment's proxies and to
 * NODE_TLS_REJECT_UNAUTHORIZED; redirects are not followed, as a credential is only for this server. Throws
 * KubernetesFailure for answers other than 2xx and for none; a 401 is tried once more with new credentials, which
 * may have been replaced meanwhile. Throws CniError when there are no credentials to be had.
 */
export const createTransport = (access: KubernetesAccess): Transport => {
  const tlsOf = tlsSettings(access);
  const once = async (options: RequestOptions, refused: boolean): Promise<Response> => {
    const credential = await access.credentials.current(refused);
    const response = await answered(access, tlsOf(credential), credential, options);
    if (response.ok) return response;
    const body = await response.text().catch(() => '');
    throw failureOf(options, response.status, body, {
      retryAfter: response.headers.get('retry-after'),
      source: access.source,
      credentials: access.credentials.describe,
    });
  };
  return {
    server: access.server,
    send: async (options) => {
      try {
        return await once(options, false);
      } catch (error) {
        if (!(error instanceof KubernetesFailure) || error.status !== 401) throw error;
        return once(options, true);
      }
    },
  };
};

const answered = async (
  { server }: KubernetesAccess,
  tls: object,
  { token }: Credential,
  options: RequestOptions,
): Promise<Response> => {
  const { method, path, body, signal, headMs } = options;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`none within ${headMs} ms`)), headMs);
  const init: Settings = {
    method,
    headers: {
      accept: 'application/json',
      // What is listed is large and near: packing it costs both sides more than sending it.
      'accept-encoding': 'identity',
      'user-agent': 'podwire',
      ...(body && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]),
    redirect: 'manual',
    tls,
    proxy: false,
    verbose: false,
    timeout: false,
    // A kept connection that the server has just closed would leave open whether a write was done.
    ...(method !== 'GET' && { keepalive: false }),
  };
  try {
    return await fetch(`${server}${path}`, init as RequestInit);
  } catch (error) {
    throw error instanceof CniError ? error : noAnswer(options, server, error);
  } finally {
    clearTimeout(timer);
  }
};

/** What bun's fetch takes beyond the standard; `false` for proxy is not in its types. */
type Settings = RequestInit & { tls: object; proxy: false; verbose: false; timeout: false };

/** The same object while nothing changes, by which connections are kept. */
const tlsSettings = ({ authority, serverName }: KubernetesAccess): ((credential: Credential) => object) => {
  let key = '';
  let settings: object = {};
  return ({ cert, key: privateKey }) => {
    const ca = authority();
    const now = JSON.stringify([ca, cert, privateKey]);
    if (now !== key) {
      key = now;
      settings = {
        rejectUnauthorized: true,
        ...(ca && { ca }),
        ...(cert && { cert }),
        ...(privateKey && { key: privateKey }),
        ...(serverName && { serverName }),
      };
    }
    return settings;
  };
};
