import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectSuccess, runProcess } from '../process.ts';

export interface Certificate {
  certFile: string;
  keyFile: string;
  /** PEM. */
  cert: string;
  key: string;
}

/** A certificate authority of a test's own, by openssl, and a directory for its files. */
export class Authority {
  readonly directory: string;
  readonly own: Certificate;
  #count = 0;

  private constructor(directory: string) {
    this.directory = directory;
    this.own = certificateIn(directory, 'ca');
  }

  static async create(): Promise<Authority> {
    const directory = mkdtempSync(join(tmpdir(), 'podwire-kube-'));
    await openssl(
      directory,
      ['req', '-x509', ...newKey, '-days', '30', '-subj', '/CN=test-ca'],
      'ca',
      '-out',
    );
    return new Authority(directory);
  }

  /** A server's certificate for these names (`DNS:localhost,IP:127.0.0.1`), or a client's for this subject (`/O=…/CN=…`). */
  async issue({ subject = '/CN=test', names }: { subject?: string; names?: string }): Promise<Certificate> {
    this.#count++;
    const name = `certificate-${this.#count}`;
    const { directory } = this;
    await openssl(directory, ['req', ...newKey, '-subj', subject], name, '-out', '.csr');
    const extensions = join(directory, `${name}.ext`);
    writeFileSync(extensions, names === undefined ? '' : `subjectAltName=${names}\n`);
    const sign = ['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key'];
    await run(directory, [
      ...sign,
      '-set_serial',
      String(1000 + this.#count),
      '-days',
      '30',
      '-extfile',
      extensions,
      '-out',
      `${name}.crt`,
    ]);
    return certificateIn(directory, name);
  }

  dispose(): void {
    rmSync(this.directory, { recursive: true });
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

const openssl = (directory: string, args: string[], name: string, out: string, suffix = '.crt') =>
  run(directory, [...args, '-keyout', `${name}.key`, out, `${name}${suffix}`]);

const run = async (directory: string, args: string[]): Promise<void> => {
  expectSuccess(
    await runProcess(['/bin/sh', '-c', 'cd "$1" && shift && exec openssl "$@"', 'sh', directory, ...args]),
  );
};

const certificateIn = (directory: string, name: string): Certificate => {
  const [certFile, keyFile] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
};
