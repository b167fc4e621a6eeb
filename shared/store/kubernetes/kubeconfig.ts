import { CniError, ErrorCode } from '../../cni/errors.ts';
import { Fields, isObject } from '../../cni/fields.ts';
import type { JsonValue } from '../../cni/types.ts';
import { dirname } from '../../kernel/files.ts';
import type { KubernetesAccess } from './access.ts';
import { fileOrData, userCredentials } from './kubeconfig-user.ts';
import { readRequired } from './read-required.ts';

/**
 * The access that a context of a kubeconfig describes (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/).
 * Relative paths count from the file's directory. Throws CniError 5 for a file that can't be read, and 7 for one that
 * says nothing usable, or asks for what we do not do: an unverified connection, a proxy, another user's name.
 */
export const loadKubeconfig = (path: string, context?: string): KubernetesAccess =>
  readKubeconfig(readRequired(path, 'kubeconfig'), path, context);

/** As `loadKubeconfig`, of a text that was read from `path`. */
export const readKubeconfig = (text: string, path: string, context?: string): KubernetesAccess => {
  try {
    const root = new Fields(parsed(text));
    const contextName = context ?? root.string('current-context') ?? '';
    if (contextName === '')
      throw wrong('names no current-context', 'Set current-context, or name a context.');
    const chosen = named(root, 'contexts', 'context', contextName);
    const clusterName = chosen.string('cluster') ?? '';
    const userName = chosen.string('user') ?? '';
    const directory = path.includes('/') ? dirname(path) : '.';
    const cluster = readCluster(named(root, 'clusters', 'cluster', clusterName), directory);
    const user = userName === '' ? new Fields({}) : named(root, 'users', 'user', userName);
    const credentials = userCredentials(user, { directory, userName, cluster });
    return { ...cluster, credentials, source: `kubeconfig ${path}, context ${contextName}` };
  } catch (error) {
    throw error instanceof CniError ? inFile(error, path) : error;
  }
};

export type Cluster = Pick<KubernetesAccess, 'server' | 'authority' | 'serverName'>;

const readCluster = (cluster: Fields, directory: string): Cluster => {
  if (cluster.boolean('insecure-skip-tls-verify') === true) {
    throw wrong(
      'asks for insecure-skip-tls-verify, which is never done',
      'Give certificate-authority or certificate-authority-data instead, and tls-server-name for a server whose certificate has another name.',
    );
  }
  if (cluster.string('proxy-url')) {
    throw wrong(
      'asks for a proxy-url, which is not supported',
      'Name a server that is reached without proxy.',
    );
  }
  const server = (cluster.string('server') ?? '').replace(/\/+$/, '');
  if (!/^https:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/.test(server) || !URL.canParse(server)) {
    // Not shown: what is before an @ would be a password.
    throw wrong('has a server that is no URL that begins with https://', 'Correct server of the cluster.');
  }
  return {
    server,
    authority: fileOrData(cluster, 'certificate-authority', directory) ?? (() => undefined),
    serverName: cluster.string('tls-server-name') || undefined,
  };
};

/** What `key` holds in the entry of that name of a list such as `clusters`. */
const named = (root: Fields, list: string, key: string, name: string): Fields => {
  const entry = root.fieldsList(list).find((fields) => fields.string('name') === name);
  if (entry === undefined) throw wrong(`has no ${key} "${name}" in ${list}`, 'See `kubectl config view`.');
  return entry.fields(key);
};

const parsed = (text: string): { [key: string]: JsonValue } => {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch {
    // The parser's message may quote the file, with the secrets in it.
    throw wrong('is not valid YAML', 'See `kubectl config view`.');
  }
  if (isObject(value)) return value;
  throw wrong('is not a kubeconfig', 'It must be a YAML mapping with clusters, users and contexts.');
};

const wrong = (problem: string, details: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, problem, { details });

const inFile = (error: CniError, path: string): CniError =>
  new CniError(error.code, `kubeconfig ${path}: ${error.message.replace(/^invalid configuration: /, '')}`, {
    details: error.details?.replace('in the network configuration', `in ${path}`),
    cause: error,
  });
