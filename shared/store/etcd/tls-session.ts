import { CniError, ErrorCode, toCniError } from '../../cni/errors.ts';
import { readFileSync, statSync } from '../../kernel/files.ts';
import type { EtcdOptions } from './options.ts';

/**
 * The connections to etcd, with the certificates as they are on disk: a session that is made anew when one of the files
 * has changed. Certificates are always verified, and proxies never used, whatever the environment
 * (NODE_TLS_REJECT_UNAUTHORIZED, HTTPS_PROXY) says. Throws CniError 7 for files that cannot be read or are not PEM.
 */
export class TlsSession {
  readonly #files: { what: 'ca' | 'cert' | 'key'; path: string }[];
  #state = '';
  #session: Bun.FetchSession | undefined;

  constructor(tls: NonNullable<EtcdOptions['tls']>) {
    this.#files = (['ca', 'cert', 'key'] as const).flatMap((what) => {
      const path = tls[what];
      return path === undefined ? [] : [{ what, path }];
    });
  }

  /** `fetch` with the files as they are now. */
  open(): Bun.FetchSession['fetch'] {
    const state = this.#files.map(stateOf).join();
    if (this.#session === undefined || state !== this.#state) {
      const contents = Object.fromEntries(this.#files.map((file) => [file.what, contentOf(file)]));
      this.#session?.close();
      this.#session = new Bun.FetchSession({ proxy: false, tls: { ...contents, rejectUnauthorized: true } });
      this.#state = state;
    }
    return this.#session.fetch;
  }

  close(): void {
    this.#session?.close();
    this.#session = undefined;
  }
}

interface TlsFile {
  what: 'ca' | 'cert' | 'key';
  path: string;
}

const stateOf = (file: TlsFile): string =>
  reading(file, () => {
    const { dev, ino, size, mtimeNs } = statSync(file.path);
    return `${dev} ${ino} ${size} ${mtimeNs}`;
  });

const contentOf = (file: TlsFile): string => {
  const content = reading(file, () => readFileSync(file.path));
  const kind = file.what === 'key' ? 'PRIVATE KEY-----' : 'CERTIFICATE-----';
  if (content.includes('-----BEGIN') && content.includes(kind)) return content;
  throw new CniError(ErrorCode.invalidNetworkConfig, `${names[file.what]} ${file.path} is not one in PEM`, {
    details: 'It must hold "-----BEGIN …" lines.',
  });
};

const reading = <T>(file: TlsFile, read: () => T): T => {
  try {
    return read();
  } catch (error) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `${names[file.what]} ${file.path} cannot be read: ${toCniError(error).message}`,
      { details: 'Correct its path or its permissions.' },
    );
  }
};

const names = {
  ca: 'the CA file for etcd',
  cert: 'the client certificate for etcd',
  key: 'the client key for etcd',
};
