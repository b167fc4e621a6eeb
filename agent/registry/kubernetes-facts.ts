import type { CniError } from '../../shared/cni/errors.ts';
import type { KubernetesClient } from '../../shared/store/kubernetes/client.ts';
import { type ListAndWatchTiming, listAndWatch } from '../../shared/store/kubernetes/list-and-watch.ts';
import {
  type KubernetesObject,
  namespacesResource,
  nodesResource,
  type Resource,
} from '../../shared/store/kubernetes/resource.ts';

type Labels = Record<string, string>;

export interface ClusterFactsOptions {
  client: KubernetesClient;
  /** The name of this node. */
  node: string;
  /** All that is known: as soon as both are, and after each change of a label. */
  facts(facts: { nodeLabels: Labels; namespaces: Record<string, Labels> }): void;
  trouble(error: CniError): void;
  signal: AbortSignal;
  timing?: ListAndWatchTiming | undefined;
}

/**
 * Watches what pools of addresses are chosen by: the labels of this node and of all namespaces, until `signal` is
 * aborted; resolves then. Needs list and watch of nodes and namespaces, and reads no other node's object.
 */
export const watchClusterFacts = async ({ node, facts, ...options }: ClusterFactsOptions): Promise<void> => {
  let own: ReadonlyMap<string, Labels> | undefined;
  let namespaces: ReadonlyMap<string, Labels> | undefined;
  const tell = (): void => {
    if (own === undefined || namespaces === undefined) return;
    facts({ nodeLabels: own.get(node) ?? {}, namespaces: Object.fromEntries(namespaces) });
  };
  await Promise.all([
    watchLabels(options, { resource: nodesResource, fieldSelector: `metadata.name=${node}` }, (all) => {
      own = all;
      tell();
    }),
    watchLabels(options, { resource: namespacesResource }, (all) => {
      namespaces = all;
      tell();
    }),
  ]);
};

const watchLabels = (
  { client, trouble, signal, timing }: Omit<ClusterFactsOptions, 'node' | 'facts'>,
  which: { resource: Resource; fieldSelector?: string },
  told: (all: ReadonlyMap<string, Labels>) => void,
): Promise<void> =>
  listAndWatch<Labels>({
    client,
    ...which,
    project: labelsOf,
    same: (a, b) => JSON.stringify(a) === JSON.stringify(b),
    listed: told,
    changed: told,
    trouble,
    signal,
    first: 'any',
    ...(timing && { timing }),
  });

/** In the order of their keys, by which equal ones are equal texts. */
const labelsOf = ({ metadata }: KubernetesObject): Labels =>
  Object.fromEntries(
    Object.entries(metadata.labels ?? {})
      .map(([key, value]): [string, string] => [key, String(value)])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
