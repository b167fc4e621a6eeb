import { CniError, ErrorCode } from '../../cni/errors.ts';
import { isObject } from '../../cni/fields.ts';
import { type Resource, resourceName, type Verb } from './resource.ts';

/** What was attempted. */
export interface Attempt {
  verb: Verb;
  resource: Resource;
  /** Of the object, where there is one. */
  name?: string | undefined;
  /** Of the object, such as `status`. */
  part?: string | undefined;
}

/**
 * A request that failed. CniError 11 where trying again may help (no answer, overloaded, server's own failure), else
 * 5. Names verb, resource, HTTP status and, for 403, the RBAC rule that is missing.
 */
export class KubernetesFailure extends CniError {
  /** The HTTP status, or that of the Status object; 0 without an answer. */
  readonly status: number;
  /**
   * The machine-readable one of the Status object: `AlreadyExists`, `Conflict`, `Expired` …, where `NotFound` is only
   * said of an object and `NoResource` of its kind; or the system's error name.
   */
  readonly reason: string;
  /** How long the server asks to wait (ms). */
  readonly retryAfterMs: number | undefined;

  constructor(
    { verb, resource, name, part }: Attempt,
    { status, reason, message, details, retryAfterMs, cause }: FailureDescription,
  ) {
    const what = `${verb} ${resourceName(resource)}${part === undefined ? '' : `/${part}`}${name === undefined ? '' : ` "${name}"`}`;
    const code = isTransient(status, reason) ? ErrorCode.tryAgainLater : ErrorCode.ioFailure;
    super(code, `Kubernetes: ${what}: ${message}`, { details, cause });
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may succeed later. */
  get transient(): boolean {
    return isTransient(this.status, this.reason);
  }
}

export interface FailureDescription {
  status: number;
  reason: string;
  message: string;
  details?: string | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** The failure that an answer's body, a Status object where the API server wrote it, tells of. */
export const failureOf = (
  attempt: Attempt,
  httpStatus: number,
  body: string,
  { retryAfter, source, credentials }: { retryAfter: string | null; source: string; credentials: string },
): KubernetesFailure => {
  const said = statusObject(body);
  const status = typeof said.code === 'number' ? said.code : httpStatus;
  const named = isObject(said.details) && typeof said.details.name === 'string';
  const reason = status === 404 && !named ? 'NoResource' : typeof said.reason === 'string' ? said.reason : '';
  const words = typeof said.message === 'string' && said.message !== '' ? said.message : reason;
  const seconds = Number(retryAfter ?? Number.NaN);
  return new KubernetesFailure(attempt, {
    status,
    reason,
    message: words === '' ? `HTTP ${status}` : `HTTP ${status}: ${words.slice(0, LONGEST_WORDS)}`,
    details: adviceFor(status, reason, attempt, { source, credentials }),
    retryAfterMs: seconds >= 0 ? seconds * 1000 : undefined,
  });
};

/** A request without an answer: `thrown` by `fetch`. Its address is named, its headers are not. */
export const noAnswer = (attempt: Attempt, server: string, thrown: unknown): KubernetesFailure => {
  const { code, message } = (thrown ?? {}) as { code?: unknown; message?: unknown };
  const reason = typeof code === 'string' ? code : '';
  const words = reason === '' ? String(message ?? thrown) : reason;
  return new KubernetesFailure(attempt, {
    status: 0,
    reason,
    message: `no valid answer from ${server}: ${words}`,
    details: connectionAdvice(reason),
    cause: thrown,
  });
};

/** The rule that a role needs for this, as in a manifest. */
export const missingRule = ({ verb, resource: { group, plural }, part }: Attempt): string =>
  JSON.stringify({
    apiGroups: [group],
    resources: [part === undefined ? plural : `${plural}/${part}`],
    verbs: [verb],
  });

const isTransient = (status: number, reason: string): boolean =>
  status === 0 ? !isCertificate(reason) : status === 408 || status === 429 || status >= 500;

/** Whether the connection was refused by us, for what the server's certificate is. */
const isCertificate = (reason: string): boolean => /CERT|SIGNATURE|SELF_SIGNED|ISSUER/.test(reason);

interface StatusObject {
  code?: unknown;
  reason?: unknown;
  message?: unknown;
  details?: unknown;
}

const statusObject = (body: string): StatusObject => {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) && value.kind === 'Status' ? value : {};
  } catch {
    return {};
  }
};

const adviceFor = (
  status: number,
  reason: string,
  attempt: Attempt,
  { source, credentials }: { source: string; credentials: string },
): string | undefined => {
  if (status === 401) return `The server does not accept ${credentials} (${source}).`;
  if (status === 403) {
    const kind = attempt.resource.namespace === undefined ? 'ClusterRole' : 'Role';
    return `Bind a ${kind} with the rule ${missingRule(attempt)} to who this is (${source}).`;
  }
  if (reason === 'NoResource' && attempt.resource.group !== '') {
    return `The server has no ${resourceName(attempt.resource)} of ${attempt.resource.version}: apply its CustomResourceDefinition.`;
  }
  return undefined;
};

const connectionAdvice = (reason: string): string => {
  if (isCertificate(reason)) {
    return "The server's certificate is not the expected one: see certificate-authority and tls-server-name.";
  }
  return 'See that the API server runs and that this node reaches it.';
};

const LONGEST_WORDS = 500;
