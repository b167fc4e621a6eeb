import { CniError, ErrorCode, toCniError } from '../../cni/errors.ts';
import { readFileSync } from '../../kernel/files.ts';
import type { EtcdCaller } from './caller.ts';
import { hasEtcdProblem } from './errors.ts';
import type { EtcdOptions } from './options.ts';
import { TokenFile } from './token-file.ts';

/** The authentication token of a user: acquired when it is first needed, kept until etcd refuses it. */
export class Tokens {
  readonly #caller: EtcdCaller;
  readonly #options: EtcdOptions;
  readonly #file: TokenFile | undefined;
  #token: Promise<string> | undefined;
  #text: string | undefined;
  #refused: string | undefined;

  constructor(caller: EtcdCaller, options: EtcdOptions) {
    this.#caller = caller;
    this.#options = options;
    if (options.tokenDirectory !== undefined) this.#file = new TokenFile(options.tokenDirectory, options);
  }

  /** Undefined without a user; '' while the cluster has authentication turned off. Throws EtcdError, CniError 7. */
  async current(deadline: number, signal: AbortSignal | undefined): Promise<string | undefined> {
    const { user, passwordFile } = this.#options;
    if (user === undefined || passwordFile === undefined) return undefined;
    // All who wait share one request; if it fails or its caller ends it, the next call makes another.
    this.#token ??= this.#acquire(user, passwordFile, deadline).finally(() => {
      if (this.#text === undefined) this.#token = undefined;
    });
    if (signal?.aborted) return this.#text;
    return this.#token;
  }

  /** The next call acquires a new one, unless that was done meanwhile. */
  forget(token: string | undefined): void {
    if (this.#text !== token) return;
    this.#token = undefined;
    this.#text = undefined;
    this.#refused = token;
  }

  async #acquire(name: string, passwordFile: string, deadline: number): Promise<string> {
    const password = readPassword(passwordFile);
    const kept = this.#file?.read();
    if (kept !== undefined && kept !== this.#refused) {
      this.#text = kept;
      return kept;
    }
    try {
      const { token = '' } = await this.#caller.call<{ token?: string }>(
        '/v3/auth/authenticate',
        { name, password },
        { repeatable: true, anonymous: true, deadlineMs: Math.max(1, deadline - performance.now()) },
      );
      this.#text = token;
      this.#file?.write(token);
    } catch (error) {
      // As etcd's own clients do: a user may be given before authentication is turned on.
      if (!(hasEtcdProblem(error, 'refused') && error.message.includes('authentication is not enabled')))
        throw error;
      this.#text = '';
    }
    return this.#text;
  }
}

/** Throws CniError 7. */
export const readPassword = (path: string): string => {
  try {
    return readFileSync(path).replace(/\r?\n$/, '');
  } catch (error) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `the password file for etcd ${path} cannot be read: ${toCniError(error).message}`,
      { details: 'Correct its path or its permissions.' },
    );
  }
};
