import { CniError, ErrorCode } from '../shared/cni/errors.ts';
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
    throw new CniError(ErrorCode.unsupportedField, 'this build has no client of Kubernetes yet');
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
