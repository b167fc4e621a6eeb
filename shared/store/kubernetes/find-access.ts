import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { KubernetesAccess } from './access.ts';
import { inClusterAccess, isInCluster } from './in-cluster.ts';
import { loadKubeconfig } from './kubeconfig.ts';

export interface AccessOptions {
  /** A kubeconfig; without it, the service account of the pod that this is. */
  kubeconfig?: string | undefined;
  /** A context of the kubeconfig; without it, its current one. */
  context?: string | undefined;
}

/** How to reach the API server. Throws CniError 5 for files that can't be read and 7 for what they say. */
export const findAccess = ({ kubeconfig, context }: AccessOptions): KubernetesAccess => {
  if (kubeconfig !== undefined) return loadKubeconfig(kubeconfig, context);
  if (isInCluster()) return inClusterAccess();
  throw new CniError(ErrorCode.invalidNetworkConfig, 'no access to a Kubernetes API server is configured', {
    details: 'Name a kubeconfig, or run in a pod that has a service account.',
  });
};
