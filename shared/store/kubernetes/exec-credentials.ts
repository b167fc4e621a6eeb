import { CniError, ErrorCode } from '../../cni/errors.ts';
import { type Fields, isObject } from '../../cni/fields.ts';
import { Child } from '../../kernel/child.ts';
import { searchPath, toolPath } from '../../kernel/tool-path.ts';
import type { Credential, Credentials } from './access.ts';
import type { Cluster } from './kubeconfig.ts';
import { secretText } from './kubeconfig-user.ts';

/**
 * Credentials from a program of the user's, by the protocol of client-go
 * (https://kubernetes.io/docs/reference/config-api/client-authentication.v1/): it gets its question in
 * KUBERNETES_EXEC_INFO, has no terminal, and prints an ExecCredential, which serves until it expires or is refused.
 * Throws CniError 7 for a configuration that can't work.
 */
export const execCredentials = (exec: Fields, { directory, cluster }: ExecSetting): Credentials => {
  const apiVersion = exec.string('apiVersion') ?? '';
  if (!apiVersions.includes(apiVersion))
    throw exec.invalid('apiVersion', `must be one of ${apiVersions.join(', ')}`);
  if (exec.string('interactiveMode') === 'Always') {
    throw exec.invalid('interactiveMode', 'must be Never or IfAvailable: there is no terminal');
  }
  const command = exec.string('command') ?? '';
  if (command === '') throw exec.invalid('command', 'must name a program');
  const program = {
    path: command.includes('/') && !command.startsWith('/') ? `${directory}/${command}` : command,
    args: exec.strings('args') ?? [],
    hint: exec.string('installHint'),
    env: {
      ...process.env,
      PATH: searchPath(),
      ...Object.fromEntries(
        exec.fieldsList('env').map((entry) => [entry.string('name') ?? '', secretText(entry, 'value')]),
      ),
    },
    apiVersion,
    spec: {
      interactive: false,
      ...(exec.boolean('provideClusterInfo') ? { cluster: clusterInfo(cluster) } : {}),
    },
  };
  let known: Known | undefined;
  let asking: Promise<Known> | undefined;
  return {
    current: async (refused) => {
      if (known !== undefined && !refused && Date.now() < known.until) return known.credential;
      known = undefined;
      // Requests at the same time ask it once.
      asking ??= ask(program).finally(() => {
        asking = undefined;
      });
      known = await asking;
      return known.credential;
    },
    describe: `the credentials that ${command} prints`,
  };
};

export interface ExecSetting {
  directory: string;
  cluster: Cluster;
}

interface Program {
  path: string;
  args: string[];
  hint: string | undefined;
  env: Record<string, string | undefined>;
  apiVersion: string;
  spec: object;
}

interface Known {
  credential: Credential;
  /** ms since 1970. */
  until: number;
}

const apiVersions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

const ask = async ({ path, args, hint, env, apiVersion, spec }: Program): Promise<Known> => {
  const found = path.includes('/') ? path : toolPath(path);
  if (found === undefined) throw failed(path, 'is not installed', hint);
  const question = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
  const child = new Child([found, ...args], { env: { ...env, KUBERNETES_EXEC_INFO: question } });
  child.feed({ timeoutMs: LONGEST_MS });
  let result = child.poll(0);
  // Not by a blocking wait: the overlay goes on meanwhile.
  for (; result === undefined; result = child.poll(0)) await Bun.sleep(PAUSE_MS);
  if (result.exitCode !== 0) {
    throw failed(path, `ended with exit code ${result.exitCode}`, result.stderr.trim() || hint);
  }
  return read(result.stdout, path, apiVersion);
};

/** What it printed; never shown, as it is secret. */
const read = (stdout: string, path: string, apiVersion: string): Known => {
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw failed(path, 'did not print JSON');
  }
  if (!isObject(answer) || answer.kind !== 'ExecCredential' || answer.apiVersion !== apiVersion) {
    throw failed(path, `did not print an ExecCredential of ${apiVersion}`);
  }
  const status = isObject(answer.status) ? answer.status : {};
  const text = (key: string): string | undefined => {
    const value = status[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const [token, cert, key] = [text('token'), text('clientCertificateData'), text('clientKeyData')];
  if (token === undefined && (cert === undefined || key === undefined)) {
    throw failed(path, 'printed neither a token nor a client certificate with its key');
  }
  const expires = Date.parse(text('expirationTimestamp') ?? '');
  return {
    credential: { ...(token && { token }), ...(cert && key && { cert, key }) },
    until: Number.isNaN(expires) ? Number.POSITIVE_INFINITY : expires - EARLY_MS,
  };
};

const clusterInfo = ({ server, authority, serverName }: Cluster): object => {
  const ca = authority();
  return {
    server,
    ...(ca && { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(serverName && { 'tls-server-name': serverName }),
  };
};

const failed = (path: string, problem: string, details?: string): CniError =>
  new CniError(ErrorCode.commandFailed, `the exec plugin ${path} ${problem}`, { details });

const LONGEST_MS = 30_000;
const PAUSE_MS = 5;
/** How long before its expiry a credential is no longer used. */
const EARLY_MS = 10_000;
