import { networkInterfaces } from 'node:os';
import { removeForwardRules } from '../shared/overlay/forward-rules.ts';
import { removeOutgoingNat } from '../shared/overlay/nat-outgoing.ts';
import { removeOverlay } from '../shared/overlay/remove.ts';
import { hostKubeconfigPath, removeHostKubeconfig } from '../shared/store/kubernetes/host-kubeconfig.ts';
import { conflistPath, removeConflist } from './conflist-file.ts';
import { createLog } from './log.ts';
import { openEtcdRegistry } from './open-registry.ts';
import type { EtcdRegistrySettings } from './registry-settings.ts';
import type { CleanupSettings } from './settings.ts';

/**
 * Takes away all that an agent made on this node: the network configuration first, so that no pod comes any
 * more, and the plugins' access to Kubernetes, then VTEP, routes, state and what the packet filter has. What is
 * not there is no error. Forwarding stays on, as others may rely on it by now. With etcd given, this node is
 * taken out of it, too. Throws CniError.
 */
export const cleanUp = async ({ node, vni, confDir, logLevel, registry }: CleanupSettings): Promise<void> => {
  const log = createLog(logLevel, node);
  const conflist = removeConflist(conflistPath(confDir));
  const kubeconfig = removeHostKubeconfig(hostKubeconfigPath(confDir));
  await removeOverlay(vni);
  const nat = await removeOutgoingNat(vni);
  const forwardRules = await removeForwardRules(vni);
  log.info({ vni, conflist, kubeconfig, nat, forwardRules }, 'cleaned up');
  if (registry?.kind !== 'etcd') return;
  await leave(node, registry);
  log.info('the registry knows this node no more');
};

/** Last, as etcd may not answer. It lets only a node with one of the registered addresses go. */
const leave = async (name: string, settings: EtcdRegistrySettings): Promise<void> => {
  const registry = await openEtcdRegistry(settings);
  const addresses = Object.values(networkInterfaces()).flatMap(
    (own) => own?.map(({ address }) => address) ?? [],
  );
  await registry.leave({ name, addresses }, new AbortController().signal);
};
