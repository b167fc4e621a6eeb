import { CniError, ErrorCode } from '../../cni/errors.ts';

/**
 * What went wrong with a call:
 * - `unreachable`: no member took the request; surely nothing was done
 * - `busy`: a member refused it for now, as without a leader; surely nothing was done
 * - `unanswered`: it was sent, and no answer came: whether it was done is not known
 * - `token`: the authentication token is no longer valid
 * - `denied`: user, password, permission or certificates are wrong
 * - `compacted`: the revision asked for is no longer kept
 * - `lease-exists`, `lease-gone`
 * - `refused`: anything else that etcd says no to
 * - `aborted`: the caller ended it
 */
export type EtcdProblem =
  | 'unreachable'
  | 'busy'
  | 'unanswered'
  | 'token'
  | 'denied'
  | 'compacted'
  | 'lease-exists'
  | 'lease-gone'
  | 'refused'
  | 'aborted';

/** A CniError 11 where trying again may help, else 7. */
export class EtcdError extends CniError {
  readonly problem: EtcdProblem;

  constructor(problem: EtcdProblem, message: string, details?: string, cause?: unknown) {
    const wrong = problem === 'denied' || problem === 'refused';
    super(wrong ? ErrorCode.invalidNetworkConfig : ErrorCode.tryAgainLater, message, { details, cause });
    this.problem = problem;
  }
}

export const hasEtcdProblem = (error: unknown, ...problems: EtcdProblem[]): error is EtcdError =>
  error instanceof EtcdError && problems.includes(error.problem);

/** What etcd answered instead of a result: its text and the status of HTTP. */
export const refusal = (where: string, text: string, status: number): EtcdError => {
  const said = text.trim().slice(0, 300);
  const message = `etcd at ${where} refused: ${said || `HTTP ${status}`}`;
  for (const { pattern, problem, details } of refusals) {
    if (pattern.test(said)) return new EtcdError(problem, message, details);
  }
  if (status >= 500 || status === 408) {
    return new EtcdError('unanswered', `etcd at ${where} failed: ${said || `HTTP ${status}`}`, lookAtServer);
  }
  return new EtcdError('refused', message, 'See the log of etcd.');
};

/** What `fetch` threw, by the code of its error. Nothing of the request is in the text: it may hold secrets. */
export const connectionFailure = (where: string, error: unknown): EtcdError => {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const name = typeof code === 'string' ? code : 'unknown error';
  if (/CERT|VERIFY|SIGNED|ALTNAME|ISSUER/.test(name)) {
    return new EtcdError(
      'denied',
      `the certificate of etcd at ${where} is not valid: ${message} (${name})`,
      distrust(name),
    );
  }
  const known = connectionFailures[name];
  if (known !== undefined)
    return new EtcdError(known.problem, `etcd at ${where} ${known.what} (${name})`, known.details);
  return new EtcdError('unanswered', `etcd at ${where} did not answer: ${name}`, lookAtServer, error);
};

export const noAnswer = (where: string, ms: number): EtcdError =>
  new EtcdError('unanswered', `etcd at ${where} did not answer within ${Math.round(ms)} ms`, lookAtServer);

const lookAtServer = 'See that etcd runs, that its cluster has a leader, and that this node reaches it.';

const distrust = (name: string): string => {
  if (name.includes('ALTNAME')) {
    return 'Use a name or address that the certificate has as subject alternative name, or issue it again with this one.';
  }
  if (/EXPIRED|NOT_YET/.test(name)) return 'Renew the certificate, or correct the clock.';
  return 'Give the certificate of the authority that signed it as CA file (--etcd-cacert).';
};

const connectionFailures: Record<string, { problem: EtcdProblem; what: string; details: string }> = {
  ECONNREFUSED: { problem: 'unreachable', what: 'refuses connections', details: 'See that etcd runs there.' },
  EAI_AGAIN: {
    problem: 'unreachable',
    what: 'has no known address',
    details: 'Correct the name, or see that DNS works.',
  },
  ENOTFOUND: {
    problem: 'unreachable',
    what: 'has no known address',
    details: 'Correct the name, or see that DNS works.',
  },
  EHOSTUNREACH: { problem: 'unreachable', what: 'cannot be reached', details: lookAtServer },
  ENETUNREACH: { problem: 'unreachable', what: 'cannot be reached', details: lookAtServer },
  EPROTO: {
    problem: 'denied',
    what: 'ended the TLS handshake',
    details:
      'If it asks for client certificates, give one signed by the authority it trusts (--etcd-cert, --etcd-key); if it speaks no TLS there, write http:// in the endpoint.',
  },
  // bun: a CA, certificate or key that it cannot load, or a key of another certificate.
  FailedToOpenSocket: {
    problem: 'denied',
    what: 'was not called, as the TLS files cannot be used',
    details:
      'See that CA, certificate and key are whole PEM files and that the key belongs to the certificate.',
  },
  ECONNRESET: {
    problem: 'unanswered',
    what: 'closed the connection',
    details: `${lookAtServer} If it speaks TLS there, write https:// in the endpoint; if it asks for client certificates, it may not trust this one.`,
  },
};

const refusals: { pattern: RegExp; problem: EtcdProblem; details: string }[] = [
  {
    pattern: /invalid auth token|revision of auth store is old|token is not provided/,
    problem: 'token',
    details: 'A new token is acquired.',
  },
  {
    pattern: /user name is empty/,
    problem: 'token',
    details:
      'etcd asks for a user: give one and a file with the password (--etcd-user, --etcd-password-file).',
  },
  {
    pattern: /authentication failed/,
    problem: 'denied',
    details:
      'Correct the user (--etcd-user; "user") or the content of the password file (--etcd-password-file; "passwordFile").',
  },
  {
    pattern: /permission denied/,
    problem: 'denied',
    details:
      'Grant the role of this user readwrite on the prefix: etcdctl role grant-permission ROLE readwrite --prefix PREFIX/.',
  },
  {
    // etcd/server/embed: the gateway would pass on the server's own identity in place of this name.
    pattern: /CommonName of client/,
    problem: 'denied',
    details:
      'With authentication on, etcd takes client certificates on its JSON gateway only without a common name: issue one whose subject has no CN.',
  },
  { pattern: /has been compacted/, problem: 'compacted', details: 'List again.' },
  { pattern: /lease already exists/, problem: 'lease-exists', details: '' },
  { pattern: /requested lease not found/, problem: 'lease-gone', details: 'A new lease is made.' },
  {
    pattern: /SubConn|transport: authentication handshake/,
    problem: 'busy',
    details:
      'The JSON gateway of etcd does not reach its own server: with client certificates on, the server certificate needs the extended key usage clientAuth too.',
  },
  {
    pattern: /no leader|too many requests|server stopped|not started/,
    problem: 'busy',
    details: lookAtServer,
  },
  {
    pattern: /database space exceeded/,
    problem: 'busy',
    details: 'The database of etcd is full: compact and defragment it, then: etcdctl alarm disarm.',
  },
  {
    pattern: /^(404 page )?not found$/i,
    problem: 'refused',
    details:
      'The JSON gateway is not there: etcd 3.4 or later is needed, with --enable-grpc-gateway (the default).',
  },
];
