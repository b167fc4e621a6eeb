/** Where an API server is, how it proves who it is, and how we do. */
export interface KubernetesAccess {
  /** `https://host:port`, with a path where the API server is behind one, without a slash at the end. */
  server: string;
  /** PEM certificates that the server's must lead to, read anew for each request; undefined: those of the system. */
  authority: () => string | undefined;
  /** The name the server's certificate must have, where it is not the one in `server`. */
  serverName: string | undefined;
  credentials: Credentials;
  /** Where all this was found, for messages. */
  source: string;
}

/** What a request shows to the API server. Never part of a message. */
export interface Credential {
  token?: string | undefined;
  /** A client certificate and its key, PEM. */
  cert?: string | undefined;
  key?: string | undefined;
}

export interface Credentials {
  /**
   * What to show now. With `refused`, the server did not accept the last ones: what was cached must not be given
   * again. Throws CniError 5 when there is none.
   */
  current(refused: boolean): Credential | Promise<Credential>;
  /** For messages: `the token in /var/run/…`. */
  describe: string;
}
