import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { watchClusterFacts } from '../../agent/registry/kubernetes-facts.ts';
import type { CniError } from '../../shared/cni/errors.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { createKubernetesClient } from '../../shared/store/kubernetes/client.ts';
import {
  type KubernetesObject,
  namespacesResource,
  nodesResource,
  type Resource,
} from '../../shared/store/kubernetes/resource.ts';
import { bindRole, KubeApiServer, lackingApiServer } from '../support/kubernetes/kube-apiserver.ts';
import { skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { nodeObject } from './node-object.ts';

const lacking = lackingApiServer();

let server: KubeApiServer;
beforeAll(async () => {
  if (lacking !== undefined) return;
  server = await KubeApiServer.start({ users: ['agent'] });
  const name = 'podwire-facts';
  await server.admin.create(
    { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterroles' },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name },
      rules: [{ apiGroups: [''], resources: ['nodes', 'namespaces'], verbs: ['list', 'watch'] }],
    },
  );
  await bindRole(server.admin, name, 'agent');
}, 120_000);
beforeEach((context) => skipFor(context, lacking));
afterAll(() => server?.dispose());

const label = async (resource: Resource, name: string, labels: JsonObject): Promise<void> => {
  const object = (await server.admin.get(resource, name)) as KubernetesObject;
  await server.admin.replace(resource, { ...object, metadata: { ...object.metadata, labels } });
};

test('the labels of this node and of all namespaces are told, and their changes', {
  timeout: 60_000,
}, async () => {
  await server.admin.create(nodesResource, nodeObject({ name: 'n1' }));
  await server.admin.create(nodesResource, nodeObject({ name: 'n2' }));
  await label(nodesResource, 'n1', { zone: 'a' });
  const end = new AbortController();
  let facts: Record<string, unknown> = {};
  let told = 0;
  const troubles: CniError[] = [];
  const watching = watchClusterFacts({
    client: createKubernetesClient(server.access('agent-token')),
    node: 'n1',
    facts: (now) => {
      facts = now;
      told++;
    },
    trouble: (error) => troubles.push(error),
    signal: end.signal,
  });
  const shows = (nodeLabels: object, namespaces: object) =>
    waitUntil('the facts are told', () => {
      try {
        expect(facts).toMatchObject({ nodeLabels, namespaces });
        return true;
      } catch {
        return false;
      }
    });
  await shows({ zone: 'a' }, { default: { 'kubernetes.io/metadata.name': 'default' } });
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { team: 'shop' } },
  };
  await server.admin.create(namespacesResource, namespace);
  await shows({ zone: 'a' }, { shop: { team: 'shop' } });
  const before = told;
  // Of another node: not even sent.
  await label(nodesResource, 'n2', { zone: 'other' });
  await label(nodesResource, 'n1', { zone: 'b' });
  await shows({ zone: 'b' }, { shop: { team: 'shop' } });
  expect(told).toBe(before + 1);
  expect(troubles).toEqual([]);
  end.abort();
  await watching;
});
