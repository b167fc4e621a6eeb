import { CniError, ErrorCode } from '../../cni/errors.ts';

/** How to reach an etcd cluster (v3, by its JSON gateway, which is on unless etcd was told otherwise). */
export interface EtcdOptions {
  /** Client URLs of the members, `https://192.0.2.1:2379`. Which is tried first is left to chance; one that answers is kept. */
  endpoints: string[];
  /** PEM files. They are read again when they change. */
  tls?: {
    /** Who signed the members' certificates; without it, the system's authorities. */
    ca?: string | undefined;
    /** This client's certificate and key, for a cluster that asks for one. */
    cert?: string | undefined;
    key?: string | undefined;
  };
  user?: string | undefined;
  /** Holds the user's password; a newline at the end is no part of it. Read again for each new token. */
  passwordFile?: string | undefined;
  /**
   * A directory, for this user alone, where the token is kept for processes to come: etcd takes some 80 ms for a
   * password (bcrypt). Without it, each process acquires its own.
   */
  tokenDirectory?: string | undefined;
  /** When a call must have ended, in ms, retries included; default 5000. */
  deadlineMs?: number;
  /** When a watch that told nothing is opened anew, in ms; default 60 000. */
  silenceMs?: number;
}

export interface CheckedOptions extends EtcdOptions {
  deadlineMs: number;
  silenceMs: number;
}

/** The options with defaults, each endpoint without a slash at its end. Throws CniError 7. */
export const checkOptions = (options: EtcdOptions): CheckedOptions => {
  const endpoints = [...new Set(options.endpoints.map(endpointOf))];
  if (endpoints.length === 0) throw wrong('no endpoint of etcd is given', 'Give at least one URL.');
  const { ca, cert, key } = options.tls ?? {};
  if ((cert === undefined) !== (key === undefined)) {
    const [given, lacking] = cert === undefined ? ['key', 'certificate'] : ['certificate', 'key'];
    throw wrong(
      `a client ${given} for etcd is given (${cert ?? key}), but no ${lacking}`,
      `Give the ${lacking} too, or neither.`,
    );
  }
  if ((ca ?? cert) !== undefined && !endpoints.some((endpoint) => endpoint.startsWith('https:'))) {
    throw wrong(
      `certificates for etcd are given, but its endpoint ${endpoints[0]} is not https`,
      'Write https:// in the endpoints.',
    );
  }
  if (options.passwordFile !== undefined && options.user === undefined) {
    throw wrong('a password for etcd is given, but no user', 'Give the user too, or neither.');
  }
  if (options.user !== undefined && options.passwordFile === undefined) {
    throw wrong(`the etcd user ${options.user} has no password file`, 'Give a file that holds the password.');
  }
  return {
    ...options,
    endpoints,
    deadlineMs: options.deadlineMs ?? 5000,
    silenceMs: options.silenceMs ?? 60_000,
  };
};

const endpointOf = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.username || url?.password) {
    throw wrong(
      `the etcd endpoint ${url.host} holds a user or a password`,
      'Give the user, and a file that holds the password, by their own options.',
    );
  }
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.hostname === '' ||
    url.pathname + url.search + url.hash !== '/'
  ) {
    throw wrong(`the etcd endpoint "${text}" is no URL of a member`, 'Write it as https://192.0.2.1:2379.');
  }
  return url.origin;
};

const wrong = (message: string, details: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, message, { details });
