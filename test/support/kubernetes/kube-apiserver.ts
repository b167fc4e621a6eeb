import { generateKeyPairSync } from 'node:crypto';
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { KubernetesAccess } from '../../../shared/store/kubernetes/access.ts';
import { createKubernetesClient, type KubernetesClient } from '../../../shared/store/kubernetes/client.ts';
import { lackingTools } from '../needs.ts';
import { type Running, startProcess } from '../process.ts';
import { waitUntil } from '../wait-until.ts';
import { Authority, type Certificate } from './certificates.ts';

/** Why there is no API server to test with; undefined where there is one. */
export const lackingApiServer = (): string | undefined => {
  const directory = process.env.KUBEBUILDER_ASSETS;
  if (!directory)
    return 'KUBEBUILDER_ASSETS does not name a directory with kube-apiserver and etcd (see setup-envtest)';
  const missing = ['kube-apiserver', 'etcd'].filter((program) => !isExecutable(join(directory, program)));
  if (missing.length > 0) return `KUBEBUILDER_ASSETS=${directory} has no ${missing.join(' and no ')}`;
  return lackingTools('openssl');
};

/**
 * A real kube-apiserver with an etcd of its own, started as envtest of controller-runtime does: no controllers, no
 * kubelets, RBAC in force. Tokens and client certificates say who somebody is.
 */
export class KubeApiServer {
  readonly authority: Authority;
  readonly url: string;
  /** As a member of system:masters. */
  readonly admin: KubernetesClient;
  readonly #etcdUrl: string;
  readonly #certificate: Certificate;
  #etcd: Running | undefined;
  #server: Running | undefined;

  private constructor(authority: Authority, certificate: Certificate, [port, etcdPort]: [number, number]) {
    this.authority = authority;
    this.#certificate = certificate;
    this.url = `https://127.0.0.1:${port}`;
    this.#etcdUrl = `http://127.0.0.1:${etcdPort}`;
    this.admin = createKubernetesClient(this.access('admin-token'));
  }

  /** `users` have a token that is their name with `-token` behind it. */
  static async start({ users = [] }: { users?: string[] } = {}): Promise<KubeApiServer> {
    const authority = await Authority.create();
    const certificate = await authority.issue({ names: 'DNS:kubernetes.default.svc,IP:127.0.0.1' });
    const server = new KubeApiServer(authority, certificate, [await freePort(), await freePort()]);
    const tokens = [
      'admin-token,admin,admin,system:masters',
      ...users.map((user) => `${user}-token,${user},${user}`),
    ];
    writeFileSync(server.#path('tokens.csv'), `${tokens.join('\n')}\n`);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(server.#path('service-account.key'), privateKey.export({ type: 'sec1', format: 'pem' }));
    mkdirSync(server.#path('kubernetes'));
    try {
      await server.startEtcd();
      await server.startServer();
    } catch (error) {
      await server.dispose();
      throw error;
    }
    return server;
  }

  async startEtcd(): Promise<void> {
    this.#etcd = startAsset('etcd', [
      `--data-dir=${this.#path('etcd')}`,
      `--listen-client-urls=${this.#etcdUrl}`,
      `--advertise-client-urls=${this.#etcdUrl}`,
      '--listen-peer-urls=http://127.0.0.1:0',
      // Nothing here outlives the machine.
      '--unsafe-no-fsync',
    ]);
    await this.#ready('etcd', this.#etcd, async () => (await fetch(`${this.#etcdUrl}/health`)).ok);
  }

  async startServer(): Promise<void> {
    const { certFile, keyFile } = this.#certificate;
    this.#server = startAsset('kube-apiserver', [
      `--etcd-servers=${this.#etcdUrl}`,
      `--cert-dir=${this.#path('kubernetes')}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${new URL(this.url).port}`,
      `--tls-cert-file=${certFile}`,
      `--tls-private-key-file=${keyFile}`,
      `--client-ca-file=${this.authority.own.certFile}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-signing-key-file=${this.#path('service-account.key')}`,
      `--service-account-key-file=${this.#path('service-account.key')}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      '--authorization-mode=RBAC',
      `--token-auth-file=${this.#path('tokens.csv')}`,
      '--disable-admission-plugins=ServiceAccount',
    ]);
    const ready = async (): Promise<boolean> => {
      const answer = await fetch(`${this.url}/readyz`, {
        tls: { ca: this.authority.own.cert },
        headers: { authorization: 'Bearer admin-token' },
      });
      return answer.ok;
    };
    await this.#ready('kube-apiserver', this.#server, ready);
  }

  /** Kills it, and returns when it is dead. */
  async stopServer(): Promise<void> {
    this.#server?.kill('SIGKILL');
    await this.#server?.outcome;
  }

  access(token: string | undefined, certificate?: Certificate): KubernetesAccess {
    return {
      server: this.url,
      authority: () => this.authority.own.cert,
      serverName: undefined,
      credentials: {
        current: () => ({ token, ...(certificate && { cert: certificate.cert, key: certificate.key }) }),
        describe: 'the token of the test',
      },
      source: 'the test',
    };
  }

  /** A token of a service account in the namespace `default`, which is made, as the kubelet gets it for a pod. */
  async serviceAccountToken(name: string): Promise<string> {
    const accounts = { group: '', version: 'v1', plural: 'serviceaccounts', namespace: 'default' };
    await this.admin.create(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } });
    const answer = await fetch(`${this.url}/api/v1/namespaces/default/serviceaccounts/${name}/token`, {
      method: 'POST',
      tls: { ca: this.authority.own.cert },
      headers: { authorization: 'Bearer admin-token', 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }),
    });
    const { status } = (await answer.json()) as { status: { token: string } };
    return status.token;
  }

  /** Has etcd forget the past, as kube-apiserver does every five minutes. */
  async compact(): Promise<void> {
    const call = async (path: string, body: object): Promise<{ header: { revision: string } }> =>
      (
        await fetch(`${this.#etcdUrl}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) })
      ).json() as never;
    const { header } = await call('range', { key: 'AA==' });
    await call('compaction', { revision: header.revision, physical: true });
  }

  async dispose(): Promise<void> {
    await this.stopServer();
    this.#etcd?.kill('SIGKILL');
    await this.#etcd?.outcome;
    this.authority.dispose();
  }

  #path(name: string): string {
    return join(this.authority.directory, name);
  }

  async #ready(name: string, running: Running, ask: () => Promise<boolean>): Promise<void> {
    let end: string | undefined;
    void running.outcome.then(({ stderr }) => {
      end = stderr.trim().split('\n').slice(-5).join('\n');
    });
    const answers = async (): Promise<boolean> => {
      if (end !== undefined) throw new Error(`${name} ended: ${end}`);
      return ask().catch(() => false);
    };
    await waitUntil(`${name} is ready`, answers, 60_000);
  }
}

/** The rights that conf/ gives to a node agent for this registry. */
export const nodeReaderRole = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: 'podwire-nodes' },
  rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch'] }],
};

/** Gives a user a ClusterRole. */
export const bindRole = async (client: KubernetesClient, role: string, user: string): Promise<void> => {
  const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' };
  await client.create(
    { ...rbac, plural: 'clusterrolebindings' },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: `${role}-${user}` },
      roleRef: { apiGroup: rbac.group, kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'User', apiGroup: rbac.group, name: user }],
    },
  );
};

const startAsset = (name: string, args: string[]): Running =>
  startProcess([join(process.env.KUBEBUILDER_ASSETS ?? '', name), ...args], { timeout: 600_000 });

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
