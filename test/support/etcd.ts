import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lackingTools } from './needs.ts';
import { expectSuccess, programPath, type Running, runProcess, startProcess } from './process.ts';
import { waitUntil } from './wait-until.ts';

/** Why tests with a real etcd cannot run here, or undefined when they can. */
export const lackingEtcd = (): string | undefined => lackingTools('etcd', 'etcdctl', 'openssl');

export interface EtcdServerOptions {
  /** Asks for client certificates; default true. */
  clientCertificates?: boolean;
  /** Members of the cluster; default 1. */
  members?: number;
  /** More arguments for each member; `file` is the path of a file in the cluster's directory. */
  flags?: (file: (name: string) => string) => string[];
  /** Makes files in the cluster's directory before the start. */
  prepare?: (directory: string) => Promise<void>;
}

/**
 * A real etcd cluster for one test: TLS with an authority of its own, ports of 127.0.0.1 that were free, data in a
 * directory of its own. `await using` ends it.
 */
export class EtcdServer {
  readonly directory: string;
  readonly #members: Member[];
  readonly #flags: string[];
  readonly #clientCertificates: boolean;

  private constructor(directory: string, members: Member[], flags: string[], clientCertificates: boolean) {
    this.directory = directory;
    this.#members = members;
    this.#flags = flags;
    this.#clientCertificates = clientCertificates;
  }

  static async start(options: EtcdServerOptions = {}): Promise<EtcdServer> {
    const directory = mkdtempSync(join(tmpdir(), 'podwire-etcd-'));
    const count = options.members ?? 1;
    const ports = await freePorts(2 * count);
    const members = Array.from({ length: count }, (_, index) => ({
      name: `m${index}`,
      clientPort: ports[2 * index] as number,
      peerPort: ports[2 * index + 1] as number,
      running: undefined,
    }));
    const server = new EtcdServer(
      directory,
      members,
      options.flags?.((name) => join(directory, name)) ?? [],
      options.clientCertificates ?? true,
    );
    try {
      await makeAuthority(directory, 'ca');
      // The gateway calls its own server with the server's certificate: so it is one for clients too.
      await issue(directory, 'ca', 'server', '/CN=etcd', 'serverAuth,clientAuth', 'IP:127.0.0.1');
      // Without a common name: with authentication on, the gateway refuses others.
      await issue(directory, 'ca', 'client', '/O=podwire', 'clientAuth');
      await options.prepare?.(directory);
      for (const index of members.keys()) server.resume(index);
      await server.ready();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  get endpoints(): string[] {
    return this.#members.map(({ clientPort }) => `https://127.0.0.1:${clientPort}`);
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  /** The options of a client that is let in, unless authentication was turned on. */
  get options() {
    return {
      endpoints: this.endpoints,
      tls: { ca: this.file('ca.crt'), cert: this.file('client.crt'), key: this.file('client.key') },
    };
  }

  /** Starts a member that is not running, with the data it had. */
  resume(index = 0): void {
    const member = this.#member(index);
    member.running = startProcess([programPath('etcd'), ...this.#arguments(member)], { timeout: 600_000 });
  }

  /** SIGKILL, and waits for the end. */
  async kill(index = 0): Promise<void> {
    const member = this.#member(index);
    member.running?.kill('SIGKILL');
    await member.running?.outcome;
    member.running = undefined;
  }

  /** SIGSTOP or SIGCONT: a member that is there and says nothing. */
  signal(signal: 'SIGSTOP' | 'SIGCONT', index = 0): void {
    this.#member(index).running?.kill(signal);
  }

  /** Kills a member, and deletes its data. */
  async wipe(index = 0): Promise<void> {
    await this.kill(index);
    rmSync(this.file(this.#member(index).name), { recursive: true });
  }

  async ready(): Promise<void> {
    await waitUntil(
      'etcd is healthy',
      async () => {
        const ended = this.#members.find(({ running }) => running === undefined);
        const [health] = await Promise.all([this.attempt(['endpoint', 'health', '--command-timeout=1s'])]);
        return ended === undefined ? health.exitCode === 0 || /auth|user/.test(health.stderr) : true;
      },
      30_000,
    );
  }

  /** Runs etcdctl; its stdout. */
  async ctl(...args: string[]): Promise<string> {
    return expectSuccess(await this.attempt(args));
  }

  /** How often a method (`Watch`, `Authenticate`) was called, since this member was started. */
  async callsOf(method: string, index = 0): Promise<number> {
    const { tls, endpoints } = this.options;
    const [ca, cert, key] = await Promise.all(
      [tls.ca, tls.cert, tls.key].map((file) => readFile(file, 'utf8')),
    );
    const response = await fetch(`${endpoints[index]}/metrics`, {
      tls: { ca, cert, key } as Bun.TLSOptions,
      proxy: false,
    });
    const series = `grpc_server_started_total{grpc_method="${method}",grpc_service="etcdserverpb.`;
    const line = (await response.text()).split('\n').find((text) => text.startsWith(series));
    return Number(line?.split(' ').at(-1));
  }

  attempt(args: string[]) {
    const { tls, endpoints } = this.options;
    const alive = endpoints.filter((_, index) => this.#members[index]?.running !== undefined);
    return runProcess([
      programPath('etcdctl'),
      `--endpoints=${alive.join()}`,
      `--cacert=${tls.ca}`,
      `--cert=${tls.cert}`,
      `--key=${tls.key}`,
      ...args,
    ]);
  }

  /** Turns authentication on: root with "root-secret", and `user` with readwrite on a prefix. */
  async enableAuthentication(user: string, password: string, prefix: string): Promise<void> {
    await this.ctl('user', 'add', 'root:root-secret');
    await this.ctl('user', 'grant-role', 'root', 'root');
    await this.ctl('role', 'add', user);
    await this.ctl('role', 'grant-permission', user, 'readwrite', '--prefix', prefix);
    await this.ctl('user', 'add', `${user}:${password}`);
    await this.ctl('user', 'grant-role', user, user);
    await this.ctl('auth', 'enable');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.keys().map((index) => this.kill(index)));
    rmSync(this.directory, { recursive: true, force: true });
  }

  #member(index: number): Member {
    const member = this.#members[index];
    if (member === undefined) throw new Error(`etcd has no member ${index}`);
    return member;
  }

  #arguments(member: Member): string[] {
    const peers = this.#members.map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`);
    const client = `https://127.0.0.1:${member.clientPort}`;
    const peer = `http://127.0.0.1:${member.peerPort}`;
    return [
      `--name=${member.name}`,
      `--data-dir=${this.file(member.name)}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=${peers.join()}`,
      `--cert-file=${this.file('server.crt')}`,
      `--key-file=${this.file('server.key')}`,
      ...(this.#clientCertificates ? ['--client-cert-auth', `--trusted-ca-file=${this.file('ca.crt')}`] : []),
      '--logger=zap',
      '--log-level=error',
      ...this.#flags,
    ];
  }
}

interface Member {
  name: string;
  clientPort: number;
  peerPort: number;
  running: Running | undefined;
}

/** An authority: `<name>.crt` and `<name>.key`. */
export const makeAuthority = async (directory: string, name: string): Promise<void> => {
  await openssl(
    directory,
    'req',
    '-x509',
    ...newKey(name),
    '-out',
    `${name}.crt`,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
  );
};

/** A certificate `<name>.crt` of an authority, and its key. */
export const issue = async (
  directory: string,
  authority: string,
  name: string,
  subject: string,
  usage: string,
  alternativeName?: string,
): Promise<void> => {
  const extensions = [`extendedKeyUsage=${usage}`];
  if (alternativeName !== undefined) extensions.push(`subjectAltName=${alternativeName}`);
  writeFileSync(join(directory, `${name}.ext`), extensions.join('\n'));
  await openssl(directory, 'req', ...newKey(name), '-out', `${name}.csr`, '-subj', subject);
  await openssl(
    directory,
    ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${authority}.crt`, '-CAkey', `${authority}.key`],
    ...['-CAcreateserial', '-days', '2', '-out', `${name}.crt`, '-extfile', `${name}.ext`],
  );
};

/** `token.key` and `token.pub`, to sign tokens with (`--auth-token=jwt`). */
export const makeTokenKeys = async (directory: string): Promise<void> => {
  await openssl(directory, 'genrsa', '-out', 'token.key', '2048');
  await openssl(directory, 'rsa', '-in', 'token.key', '-pubout', '-out', 'token.pub');
};

const newKey = (name: string): string[] => [
  ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`],
];

const openssl = async (directory: string, ...args: string[]): Promise<void> => {
  // startProcess runs in "/".
  const script = 'cd "$1"; shift; exec "$@"';
  expectSuccess(
    await runProcess(['/bin/sh', '-c', script, 'sh', directory, programPath('openssl'), ...args]),
  );
};

const freePorts = async (count: number): Promise<number[]> => {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer();
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
};
