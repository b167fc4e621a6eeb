import type { EtcdRegistry } from './registry/etcd.ts';
import type { Registry } from './registry/registry.ts';
import type { EtcdRegistrySettings, RegistrySettings } from './registry-settings.ts';

/** The chosen registry; only its own client is loaded. Throws CniError 5 or 7 when it cannot be set up. */
export const openRegistry = async (settings: RegistrySettings): Promise<Registry> => {
  if (settings.kind === 'file') {
    const { createFileRegistry } = await import('./registry/file.ts');
    return createFileRegistry({ file: settings.file });
  }
  if (settings.kind === 'kubernetes') {
    const { createKubernetesRegistry } = await import('./registry/kubernetes.ts');
    return createKubernetesRegistry({ kubeconfig: settings.kubeconfig });
  }
  return openEtcdRegistry(settings);
};

/** The registry in which nodes make themselves known. Throws CniError 7 when it cannot be set up. */
export const openEtcdRegistry = async ({
  kind: _kind,
  podCIDRs: _podCIDRs,
  clusterCIDRs: _clusterCIDRs,
  ...options
}: EtcdRegistrySettings): Promise<EtcdRegistry> => {
  const { createEtcdRegistry } = await import('./registry/etcd.ts');
  return createEtcdRegistry(options);
};
