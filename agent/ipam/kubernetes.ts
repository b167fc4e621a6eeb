import { toCniError } from '../../shared/cni/errors.ts';
import { isObject } from '../../shared/cni/fields.ts';
import { writeClusterFacts } from '../../shared/ipam/cluster-facts.ts';
import { poolStatuses, publishPoolStatuses } from '../../shared/store/datastore/kubernetes-status.ts';
import type { KubernetesAccess } from '../../shared/store/kubernetes/access.ts';
import { createKubernetesClient } from '../../shared/store/kubernetes/client.ts';
import { hostKubeconfigPath, writeHostKubeconfig } from '../../shared/store/kubernetes/host-kubeconfig.ts';
import { FailureLog, type Log } from '../log.ts';
import { pause } from '../pause.ts';
import { watchClusterFacts } from '../registry/kubernetes-facts.ts';
import type { AgentIpam } from './ipam-config.ts';
import type { IpamView } from './pod-routes.ts';

export interface KubernetesServices {
  ipam: AgentIpam;
  access: KubernetesAccess;
  log: Log;
  confDir: string;
  signal: AbortSignal;
}

/** Milliseconds: the kubelet replaces a token when a fifth of its hour or more is left. */
const KUBECONFIG_MS = 60_000;

/**
 * Gives this node's plugins what they need of Kubernetes, until `signal` is aborted: the labels that pools go by, and a
 * kubeconfig, unless `ipam.datastore.kubeconfig` names another's.
 */
export const serveKubernetes = async (services: KubernetesServices): Promise<void> => {
  const { ipam, access, log, signal } = services;
  const { datastore } = ipam.json;
  const isOurs = !isObject(datastore) || datastore.kubeconfig === undefined;
  const client = createKubernetesClient(access);
  const failures = new FailureLog(log, "watching the cluster's labels");
  await Promise.all([
    isOurs && keepKubeconfig(services),
    watchClusterFacts({
      client,
      node: ipam.cluster.node.node,
      facts: (facts) => {
        try {
          writeClusterFacts(ipam.cluster.node.dataDir, facts);
          failures.succeeded();
        } catch (error) {
          failures.failed(toCniError(error));
        }
      },
      trouble: (error) => failures.failed(error),
      signal,
    }),
  ]);
};

/** Writes what `kubectl get podwirepools` shows, where it is for this node to do. Throws KubernetesFailure. */
export const publishStatuses = async (
  access: KubernetesAccess,
  node: string,
  { blocks, addresses }: IpamView,
): Promise<void> => {
  const statuses = poolStatuses(node, { blocks: [...blocks], addresses: [...addresses] });
  if (statuses.size === 0) return;
  await publishPoolStatuses(createKubernetesClient(access), statuses);
};

const keepKubeconfig = async ({ access, log, confDir, signal }: KubernetesServices): Promise<void> => {
  const path = hostKubeconfigPath(confDir);
  const failures = new FailureLog(log, 'writing the kubeconfig of the plugins');
  while (!signal.aborted) {
    try {
      if (await writeHostKubeconfig(access, path)) log.info({ path }, 'kubeconfig written for the plugins');
      failures.succeeded();
    } catch (error) {
      failures.failed(toCniError(error));
    }
    await pause(KUBECONFIG_MS, signal);
  }
};
