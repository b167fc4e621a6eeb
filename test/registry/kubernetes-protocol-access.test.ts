import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createKubernetesRegistry } from '../../agent/registry/kubernetes.ts';
import type { KubernetesAccess } from '../../shared/store/kubernetes/access.ts';
import { writeHostKubeconfig } from '../../shared/store/kubernetes/host-kubeconfig.ts';
import { inClusterAccess } from '../../shared/store/kubernetes/in-cluster.ts';
import { loadKubeconfig } from '../../shared/store/kubernetes/kubeconfig.ts';
import { Authority } from '../support/kubernetes/certificates.ts';
import { ScriptedApiServer } from '../support/kubernetes/scripted-api-server.ts';
import { lackingTools, skipFor } from '../support/needs.ts';
import { runProcess, systemPath } from '../support/process.ts';
import { nodeObject } from './node-object.ts';

let authority: Authority;
let server: ScriptedApiServer;
let directory: string;
const lacking = lackingTools('openssl');
beforeAll(async () => {
  if (lacking === undefined) authority = await Authority.create();
});
beforeEach(async (context) => {
  skipFor(context, lacking);
  server = await ScriptedApiServer.start(authority);
  server.objects.put(
    '/api/v1/nodes',
    nodeObject({ name: 'n1', addresses: ['198.51.100.1'], podCIDRs: ['10.244.1.0/24'] }),
  );
  directory = mkdtempSync(join(authority.directory, 'access-'));
});
afterEach(async () => {
  await server?.stop();
  if (directory !== undefined) rmSync(directory, { recursive: true });
});
afterAll(() => authority?.dispose());

const write = (name: string, text: string): string => {
  const path = join(directory, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
};
const base64 = (text: string) => Buffer.from(text).toString('base64');
const kubeconfig = (
  user: string,
  cluster = `certificate-authority-data: ${base64(authority.own.cert)}`,
  url = server.url,
) =>
  write(
    'kubeconfig',
    `apiVersion: v1
kind: Config
current-context: test
contexts:
- name: other
  context: {cluster: none, user: none}
- name: test
  context:
    cluster: here
    user: agent
clusters:
- name: here
  cluster:
    server: ${url}
    ${cluster}
users:
- name: agent
  user:
    ${user}
`,
  );
const names = async (access: KubernetesAccess) => {
  const { nodes } = await createKubernetesRegistry({ access }).list(new AbortController().signal);
  return nodes.map(({ name }) => name);
};
const tokensSeen = () => server.requests.map(({ authorization }) => authorization?.replace('Bearer ', ''));
const failure = async (
  attempt: () => unknown,
): Promise<{ code: number; message: string; details: string }> => {
  try {
    await attempt();
  } catch (error) {
    return error as never;
  }
  throw new Error('it did not fail');
};

describe('in a pod', () => {
  const files = () => {
    write('account/token', 'first\n');
    write('account/ca.crt', authority.own.cert);
    return join(directory, 'account');
  };
  const environment = () => ({
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    KUBERNETES_SERVICE_PORT: new URL(server.url).port,
  });

  test('the service account serves, and its token is read anew', async () => {
    const access = inClusterAccess(environment(), files());
    server.tokens = new Set(['first']);
    expect(await names(access)).toEqual(['n1']);
    server.tokens = new Set(['second']);
    const refused = await failure(() => names(access));
    expect(refused.message).toBe('Kubernetes: list nodes: HTTP 401: Unauthorized');
    expect(refused.details).toBe(
      `The server does not accept the service account token ${directory}/account/token (the service account in ${directory}/account).`,
    );
    write('account/token', 'second\n');
    expect(await names(access)).toEqual(['n1']);
  });

  test('a token that is replaced while it is refused is tried', async () => {
    const access = inClusterAccess(environment(), files());
    server.tokens = new Set(['second']);
    server.next('GET', '/api/v1/nodes', () => {
      write('account/token', 'second');
      return new Response('', { status: 401 });
    });
    expect(await names(access)).toEqual(['n1']);
    expect(tokensSeen()).toEqual(['first', 'second']);
  });

  test('an IPv6 address is put in brackets, and what is missing is named', async () => {
    const account = files();
    const access = inClusterAccess(
      { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' },
      account,
    );
    expect(access.server).toBe('https://[fd00::1]:6443');
    rmSync(join(account, 'ca.crt'));
    expect((await failure(() => inClusterAccess(environment(), account))).message).toContain(
      `cannot read the certificate authority of the service account ${account}/ca.crt: `,
    );
    expect((await failure(() => inClusterAccess({}, account))).message).toContain('KUBERNETES_SERVICE_HOST');
  });
});

describe('a kubeconfig', () => {
  test('with a token', async () => {
    server.tokens = new Set(['s3cret']);
    expect(await names(loadKubeconfig(kubeconfig('token: s3cret')))).toEqual(['n1']);
  });

  test('with a token file and files of certificates, relative to it', async () => {
    write('token', 'from-file');
    write('pki/ca.crt', authority.own.cert);
    server.tokens = new Set(['from-file']);
    const path = kubeconfig('tokenFile: token\n    token: not-this-one', 'certificate-authority: pki/ca.crt');
    expect(await names(loadKubeconfig(path))).toEqual(['n1']);
  });

  test.for([
    [
      'a server that another authority signed',
      (other: Authority) => other.own.cert,
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
  ] as const)('refuses %s', async ([, certificate, reason]) => {
    const other = await Authority.create();
    try {
      const access = loadKubeconfig(
        kubeconfig('token: x', `certificate-authority-data: ${base64(certificate(other))}`),
      );
      const { message, details } = await failure(() => names(access));
      expect(message).toBe(`Kubernetes: list nodes: no valid answer from ${server.url}: ${reason}`);
      expect(details).toContain('certificate-authority');
      expect(server.requests).toEqual([]);
    } finally {
      other.dispose();
    }
  });

  test('a server whose certificate has another name needs tls-server-name', async () => {
    await server.stop();
    server = await ScriptedApiServer.start(authority, 'DNS:kubernetes.default.svc');
    const ca = `certificate-authority-data: ${base64(authority.own.cert)}`;
    const { message } = await failure(() => names(loadKubeconfig(kubeconfig('token: x', ca))));
    expect(message).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(server.requests).toEqual([]);
    server.objects.put(
      '/api/v1/nodes',
      nodeObject({ name: 'n1', addresses: ['198.51.100.1'], podCIDRs: ['10.244.1.0/24'] }),
    );
    const named = kubeconfig('token: x', `${ca}\n    tls-server-name: kubernetes.default.svc`);
    expect(await names(loadKubeconfig(named))).toEqual(['n1']);
  });

  test.for<[what: string, user: string, cluster: string, message: string]>([
    [
      'an unverified connection',
      'token: s3cret',
      'insecure-skip-tls-verify: true',
      'asks for insecure-skip-tls-verify',
    ],
    ['a proxy', 'token: s3cret', 'proxy-url: http://proxy:3128', 'asks for a proxy-url'],
    ['a password', 'password: s3cret', '', '"password" is not supported'],
    ['a token that is no text', 'token: {s3cret: 1}', '', 'token" must be a string'],
    [
      'a certificate without key',
      `client-certificate-data: ${'LS0tLS1CRUdJTiA='}`,
      '',
      'has a client certificate or its key, but not both',
    ],
    ['a key that is not PEM', 'client-key-data: s3cret', '', 'client-key-data is not PEM'],
    ['text that is no YAML', 'token: "s3cret', '', 'is not valid YAML'],
  ])('with %s is refused, without showing what is secret', async ([, user, cluster, expected]) => {
    const path = kubeconfig(user, cluster);
    const { message, details, code } = await failure(() => loadKubeconfig(path));
    expect(code).toBe(7);
    expect(message).toContain(`kubeconfig ${path}: `);
    expect(message).toContain(expected);
    expect(`${message} ${details}`).not.toContain('s3cret');
  });

  test('what is missing is named', async () => {
    const path = kubeconfig('token: x');
    expect((await failure(() => loadKubeconfig(path, 'nowhere'))).message).toContain(
      'has no context "nowhere" in contexts',
    );
    expect((await failure(() => loadKubeconfig(path, 'other'))).message).toContain(
      'has no cluster "none" in clusters',
    );
    expect((await failure(() => loadKubeconfig(join(directory, 'none')))).message).toContain(
      'cannot read the kubeconfig',
    );
    const http = kubeconfig('token: x', '', 'http://127.0.0.1:8080');
    expect((await failure(() => loadKubeconfig(http))).message).toContain('no URL that begins with https://');
  });
});

describe('the kubeconfig that the agent leaves for plugins', () => {
  test('gives them its access, and follows its token', async () => {
    write('account/token', 'first\n');
    write('account/ca.crt', authority.own.cert);
    const { port } = new URL(server.url);
    const environment = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: port };
    const access = inClusterAccess(environment, join(directory, 'account'));
    const path = join(directory, 'run/kubeconfig');
    expect(await writeHostKubeconfig(access, path)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    server.tokens = new Set(['first']);
    expect(await names(loadKubeconfig(path))).toEqual(['n1']);
    expect(await writeHostKubeconfig(access, path)).toBe(false);
    write('account/token', 'second\n');
    server.tokens = new Set(['second']);
    expect(await writeHostKubeconfig(access, path)).toBe(true);
    expect(await names(loadKubeconfig(path))).toEqual(['n1']);
  });

  test('is not written without credentials', async () => {
    const path = join(directory, 'kubeconfig');
    const { message } = await failure(() => writeHostKubeconfig(server.access(), path));
    expect(message).toContain('there is nothing to write into a kubeconfig');
    expect(existsSync(path)).toBe(false);
  });
});

describe('an environment that would weaken the connection', () => {
  const hostile = {
    HTTPS_PROXY: 'http://127.0.0.1:1',
    https_proxy: 'http://127.0.0.1:1',
    HTTP_PROXY: 'http://127.0.0.1:1',
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    BUN_CONFIG_VERBOSE_FETCH: 'curl',
  };
  const listed = async (path: string) => {
    const fixture = join(import.meta.dirname, 'list-nodes.fixture.ts');
    return runProcess([process.execPath, fixture, path], { env: { PATH: systemPath, ...hostile } });
  };

  test('does not: no proxy is asked, and nothing secret is printed', async () => {
    const { stdout, stderr } = await listed(kubeconfig('token: s3cret'));
    expect(stdout).toBe('n1\n');
    expect(stderr).not.toContain('s3cret');
    expect(tokensSeen()).toEqual(['s3cret']);
  });

  test('does not: the server is verified', async () => {
    const other = await Authority.create();
    const path = kubeconfig('token: s3cret', `certificate-authority-data: ${base64(other.own.cert)}`);
    other.dispose();
    const { stdout, stderr } = await listed(path);
    expect(stdout).toContain('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(stdout + stderr).not.toContain('s3cret');
    expect(server.requests).toEqual([]);
  });
});

describe('an exec plugin', () => {
  const plugin = (script: string): string => {
    const path = write('get-token', `#!/bin/sh\necho called >>"${directory}/calls"\n${script}\n`);
    chmodSync(path, 0o755);
    return 'exec: {apiVersion: client.authentication.k8s.io/v1, command: ./get-token, interactiveMode: Never, provideClusterInfo: true, env: [{name: KEY, value: s3cret}]}';
  };
  const calls = () =>
    existsSync(join(directory, 'calls'))
      ? readFileSync(join(directory, 'calls'), 'utf8').split('\n').length - 1
      : 0;
  const answer = (status: object) =>
    `cat <<'END'\n${JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status })}\nEND`;

  test('is asked once while what it printed is valid, and again when that is refused', async () => {
    const access = loadKubeconfig(
      kubeconfig(
        plugin(`echo "$KUBERNETES_EXEC_INFO" >"${directory}/info"\nread token <"${directory}/token"
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'$token'","expirationTimestamp":"2100-01-01T00:00:00Z"}}'`),
      ),
    );
    write('token', 'one\n');
    server.tokens = new Set(['one']);
    for (let index = 0; index < 3; index++) expect(await names(access)).toEqual(['n1']);
    expect(calls()).toBe(1);
    write('token', 'two\n');
    server.tokens = new Set(['two']);
    expect(await names(access)).toEqual(['n1']);
    expect(calls()).toBe(2);
    expect(JSON.parse(readFileSync(join(directory, 'info'), 'utf8'))).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: server.url, 'certificate-authority-data': base64(authority.own.cert) },
      },
    });
  });

  test('is asked again when what it printed has expired', async () => {
    const access = loadKubeconfig(
      kubeconfig(plugin(answer({ token: 'a', expirationTimestamp: '2020-01-01T00:00:00Z' }))),
    );
    await names(access);
    await names(access);
    expect(calls()).toBe(2);
  });

  test.for<[what: string, script: string, message: string]>([
    ['fails', 'echo "no login" >&2; exit 3', 'ended with exit code 3'],
    ['prints no JSON', 'echo s3cret', 'did not print JSON'],
    [
      'prints something else',
      'echo \'{"kind":"Other","token":"s3cret"}\'',
      'did not print an ExecCredential of client.authentication.k8s.io/v1',
    ],
    ['prints no credential', answer({}), 'printed neither a token nor a client certificate'],
  ])('that %s is named', async ([, script, expected]) => {
    const access = loadKubeconfig(kubeconfig(plugin(script)));
    const { message, details = '' } = await failure(() => names(access));
    expect(message).toContain(expected);
    expect(`${message} ${details}`).not.toContain('s3cret');
    expect(server.requests).toEqual([]);
  });

  test('that is not installed is named with its hint', async () => {
    const user =
      'exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-login, installHint: Install it.}';
    expect(await failure(() => names(loadKubeconfig(kubeconfig(user))))).toMatchObject({
      message: 'the exec plugin no-such-login is not installed',
      details: 'Install it.',
    });
  });
});
