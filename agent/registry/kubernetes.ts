import type { KubernetesAccess } from '../../shared/store/kubernetes/access.ts';
import { createKubernetesClient } from '../../shared/store/kubernetes/client.ts';
import { type AccessOptions, findAccess } from '../../shared/store/kubernetes/find-access.ts';
import { type ListAndWatchTiming, listAndWatch } from '../../shared/store/kubernetes/list-and-watch.ts';
import { nodesResource } from '../../shared/store/kubernetes/resource.ts';
import { type NodeEntry, readNode, sameEntry } from './kubernetes-node.ts';
import type { Registry } from './registry.ts';

export interface KubernetesRegistryOptions extends AccessOptions {
  /** In place of what `kubeconfig` or the pod's service account say. */
  access?: KubernetesAccess | undefined;
  timing?: ListAndWatchTiming | undefined;
}

/**
 * The cluster's Node objects: names, InternalIPs, pod ranges. Nothing is written, so that list and watch of nodes are
 * all the rights that it needs. What else changes in a Node, such as the kubelet's heartbeat, is not told. Throws
 * CniError 5 or 7 where access is not configured.
 */
export const createKubernetesRegistry = ({
  access,
  timing,
  ...options
}: KubernetesRegistryOptions): Registry => {
  const client = createKubernetesClient(access ?? findAccess(options));
  return {
    kind: 'kubernetes',
    list: async (signal) => {
      const { items } = await client.list(nodesResource, { project: readNode, signal });
      return told(items);
    },
    watch: (listener, signal) => {
      const tell = (all: ReadonlyMap<string, NodeEntry>): void => {
        const { nodes, refused } = told([...all.values()]);
        listener.nodes(nodes, refused);
      };
      return listAndWatch({
        client,
        resource: nodesResource,
        project: readNode,
        same: sameEntry,
        listed: tell,
        changed: tell,
        trouble: (error) => listener.trouble(error),
        signal,
        first: 'any',
        ...(timing && { timing }),
      });
    },
  };
};

const told = (entries: NodeEntry[]) => ({
  nodes: entries.flatMap(({ node }) => node ?? []).sort((a, b) => (a.name < b.name ? -1 : 1)),
  refused: entries.flatMap(({ refused }) => refused ?? []).sort(),
});
