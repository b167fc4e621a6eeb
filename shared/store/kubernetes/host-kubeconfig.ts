import { CniError, ErrorCode } from '../../cni/errors.ts';
import { readFileSync, unlinkSync } from '../../kernel/files.ts';
import { failedWith, ioFailure } from '../io-failure.ts';
import { writeWhole } from '../whole-file.ts';
import type { KubernetesAccess } from './access.ts';

/**
 * Writes a kubeconfig with this access for the plugins of this node, which run outside of the agent's pod and have no
 * service account of their own: whole, readable by root only, and only when it changed, as it does when the kubelet
 * replaces the token. Returns whether it was written. The server is named as this pod knows it, which the node must
 * reach as well. Throws CniError 5.
 */
export const writeHostKubeconfig = async (access: KubernetesAccess, path: string): Promise<boolean> => {
  const text = await kubeconfigText(access);
  try {
    if (readIfThere(path) === text) return false;
    writeWhole(path, text);
    return true;
  } catch (error) {
    throw ioFailure(`write the kubeconfig ${path}`, error);
  }
};

/** Where plugins look for it: beside the network configurations. */
export const hostKubeconfigPath = (confDir: string): string => `${confDir}/podwire.kubeconfig`;

/** Takes it away, as it holds a token; returns whether it was there. Throws CniError 5. */
export const removeHostKubeconfig = (path: string): boolean => {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return false;
    throw ioFailure(`remove the kubeconfig ${path}`, error);
  }
};

/** JSON, which is YAML too. */
const kubeconfigText = async ({
  server,
  authority,
  serverName,
  credentials,
}: KubernetesAccess): Promise<string> => {
  const { token, cert, key } = await credentials.current(false);
  if (token === undefined && (cert === undefined || key === undefined)) {
    throw new CniError(
      ErrorCode.ioFailure,
      `there is nothing to write into a kubeconfig: ${credentials.describe} is empty`,
    );
  }
  const ca = authority();
  const cluster = {
    server,
    ...(ca && { 'certificate-authority-data': base64(ca) }),
    ...(serverName && { 'tls-server-name': serverName }),
  };
  const user = {
    ...(token && { token }),
    ...(cert && key && { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) }),
  };
  const name = 'podwire';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster }],
    users: [{ name, user }],
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const readIfThere = (path: string): string | undefined => {
  try {
    return readFileSync(path);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined;
    throw error;
  }
};
