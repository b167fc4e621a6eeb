import { CniError, ErrorCode } from '../../cni/errors.ts';
import { existsSync } from '../../kernel/files.ts';
import type { KubernetesAccess } from './access.ts';
import { readRequired } from './read-required.ts';

/** Where the kubelet mounts a pod's service account. */
export const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Whether this process is in a pod that has a service account. */
export const isInCluster = (env: Environment = process.env, directory = serviceAccountDirectory): boolean =>
  Boolean(env.KUBERNETES_SERVICE_HOST) && existsSync(`${directory}/token`);

/**
 * The access of a pod: the environment's KUBERNETES_SERVICE_HOST and _PORT, and the mounted service account. Its
 * files are read anew for each request, as the kubelet replaces the token before it expires. Throws CniError 5 or 7.
 */
export const inClusterAccess = (
  env: Environment = process.env,
  directory = serviceAccountDirectory,
): KubernetesAccess => {
  const host = env.KUBERNETES_SERVICE_HOST;
  const port = env.KUBERNETES_SERVICE_PORT_HTTPS || env.KUBERNETES_SERVICE_PORT || '443';
  if (!host) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'KUBERNETES_SERVICE_HOST is not set', {
      details: 'The kubelet sets it in every pod; outside of a pod, name a kubeconfig.',
    });
  }
  const [token, authority] = [`${directory}/token`, `${directory}/ca.crt`];
  readRequired(token, 'service account token');
  readRequired(authority, 'certificate authority of the service account');
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    authority: () => readRequired(authority, 'certificate authority of the service account'),
    serverName: undefined,
    credentials: {
      current: () => ({ token: readRequired(token, 'service account token').trim() }),
      describe: `the service account token ${token}`,
    },
    source: `the service account in ${directory}`,
  };
};

type Environment = Record<string, string | undefined>;
