import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createKubernetesRegistry } from '../../agent/registry/kubernetes.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { createKubernetesClient } from '../../shared/store/kubernetes/client.ts';
import { inClusterAccess } from '../../shared/store/kubernetes/in-cluster.ts';
import { loadKubeconfig } from '../../shared/store/kubernetes/kubeconfig.ts';
import type { ListAndWatchTiming } from '../../shared/store/kubernetes/list-and-watch.ts';
import { type KubernetesObject, nodesResource } from '../../shared/store/kubernetes/resource.ts';
import {
  bindRole,
  KubeApiServer,
  lackingApiServer,
  nodeReaderRole,
} from '../support/kubernetes/kube-apiserver.ts';
import { skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type NodeDescription, nodeObject } from './node-object.ts';
import { RegistryWatch } from './registry-watch.ts';

// The registry against a real kube-apiserver and etcd.

const lacking = lackingApiServer();
const timing: ListAndWatchTiming = {
  lifeMs: 600_000,
  silenceMs: 100_000,
  headMs: 10_000,
  backoff: { first: 100, most: 1_000 },
};

let server: KubeApiServer;
let watches: RegistryWatch[] = [];
beforeAll(async () => {
  if (lacking !== undefined) return;
  server = await KubeApiServer.start({ users: ['agent', 'nobody'] });
  await server.admin.create(
    { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterroles' },
    nodeReaderRole,
  );
  await bindRole(server.admin, 'podwire-nodes', 'agent');
}, 120_000);
beforeEach((context) => skipFor(context, lacking));
afterEach(async () => {
  await Promise.all(watches.map((watch) => watch.end()));
  watches = [];
  if (lacking === undefined) for (const name of await nodeNames()) await remove(name);
});
afterAll(() => server?.dispose());

const registry = (token = 'agent-token') =>
  createKubernetesRegistry({ access: server.access(token), timing });
const watched = (): RegistryWatch => {
  const watch = new RegistryWatch(registry());
  watches.push(watch);
  return watch;
};
const once = new AbortController().signal;
const node = (index: number, more: Partial<NodeDescription> = {}) =>
  nodeObject({
    name: `n${index}`,
    addresses: [`198.51.100.${index}`],
    podCIDRs: [`10.244.${index}.0/24`],
    ...more,
  });
const nodeNames = async () =>
  (await server.admin.list(nodesResource, { project: ({ metadata }) => metadata.name })).items;
const remove = (name: string) => server.admin.remove(nodesResource, name, {});
/** Makes it, as a kubelet does: its status goes its own way. */
const create = async (object: JsonObject): Promise<void> => {
  const made = await server.admin.create(nodesResource, object);
  await server.admin.replaceStatus(nodesResource, { ...made, status: object.status ?? {} });
};
const change = async (
  name: string,
  edit: (object: KubernetesObject) => JsonObject,
  part?: 'status',
): Promise<void> => {
  const object = (await server.admin.get(nodesResource, name)) as KubernetesObject;
  const edited = { ...object, ...edit(object) } as KubernetesObject;
  await (part === 'status'
    ? server.admin.replaceStatus(nodesResource, edited)
    : server.admin.replace(nodesResource, edited));
};
const beat = (name: string, message: string) =>
  change(
    name,
    ({ status }) => ({
      status: { ...(status as object), conditions: [{ type: 'Ready', status: 'True', message }] },
    }),
    'status',
  );

describe('the registry', { timeout: 60_000 }, () => {
  test('lists with no more rights than list and watch of nodes', async () => {
    await create(
      node(1, { addresses: ['198.51.100.1', '2001:db8::1'], podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'] }),
    );
    await create(node(2, { podCIDRs: [] }));
    expect(await registry().list(once)).toEqual({
      nodes: [
        {
          name: 'n1',
          addresses: ['198.51.100.1', '2001:db8::1'],
          podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
        },
      ],
      refused: [],
    });
  });

  test('without rights, the rule that is missing is named', async () => {
    await expect(registry('nobody-token').list(once)).rejects.toMatchObject({
      code: 5,
      message: expect.stringContaining(
        'Kubernetes: list nodes: HTTP 403: nodes is forbidden: User "nobody" cannot list',
      ),
      details: expect.stringContaining('{"apiGroups":[""],"resources":["nodes"],"verbs":["list"]}'),
    });
    await expect(registry('wrong').list(once)).rejects.toMatchObject({
      code: 5,
      message: 'Kubernetes: list nodes: HTTP 401: Unauthorized',
    });
  });

  test('lists all of many pages', async () => {
    const indexes = Array.from({ length: 120 }, (_, index) => index + 1);
    for (const index of indexes) await create(node(index));
    const client = createKubernetesClient(server.access('agent-token'));
    const { items } = await client.list(nodesResource, {
      project: ({ metadata }) => metadata.name,
      pageSize: 25,
    });
    expect(items.sort()).toEqual(indexes.map((index) => `n${index}`).sort());
    expect((await registry().list(once)).nodes).toHaveLength(120);
  });

  test('tells nodes that come, get ranges, change and go; no heartbeats', async () => {
    const watch = watched();
    await watch.names();
    await create(node(1, { podCIDRs: [] }));
    await create(node(2));
    await watch.names('n2');
    await change('n1', () => ({ spec: { podCIDR: '10.244.9.0/24', podCIDRs: ['10.244.9.0/24'] } }));
    await watch.names('n1', 'n2');
    const { told } = watch;
    for (let index = 0; index < 10; index++) await beat('n1', `beat ${index}`);
    await change(
      'n2',
      () => ({ status: { addresses: [{ type: 'InternalIP', address: '198.51.100.22' }] } }),
      'status',
    );
    await waitUntil('the address is new', () => watch.nodes[1]?.addresses[0] === '198.51.100.22');
    expect(watch.told).toBe(told + 1);
    await remove('n1');
    await watch.names('n2');
    expect(watch.troubles).toEqual([]);
  });

  test('goes on after the API server was killed, with what changed meanwhile', async () => {
    await create(node(1));
    const watch = watched();
    await watch.names('n1');
    await server.stopServer();
    await waitUntil('trouble is told', () => watch.troubles.length > 0);
    expect(watch.troubles[0]).toMatchObject({ code: 11 });
    expect(watch.nodes.map(({ name }) => name)).toEqual(['n1']);
    await server.startServer();
    await create(node(2));
    await watch.names('n1', 'n2');
    await remove('n1');
    await watch.names('n2');
  });

  test('a state that the server no longer knows is 410', async () => {
    await create(node(1));
    const { resourceVersion } = await server.admin.list(nodesResource, { project: () => 1 });
    for (let index = 0; index < 5; index++) await beat('n1', `beat ${index}`);
    await server.compact();
    // Its memory begins anew, after what was compacted.
    await server.stopServer();
    await server.startServer();
    const client = createKubernetesClient(server.access('agent-token'));
    const watching = client.watch(nodesResource, { resourceVersion, events: () => {}, signal: once });
    await expect(watching).rejects.toMatchObject({ status: 410 });
    await waitUntil('a new registry tells', async () => (await registry().list(once)).nodes.length === 1);
  });

  test('a list whose pages expire begins again', async () => {
    for (let index = 1; index <= 12; index++) await create(node(index));
    const client = createKubernetesClient({
      ...server.access('agent-token'),
      credentials: {
        // Asked for each page: before the second, its state is compacted.
        current: async () => {
          if (pages++ === 1) {
            await beat('n1', 'so that there is something later');
            await server.compact();
          }
          return { token: 'agent-token' };
        },
        describe: 'the token of the test',
      },
    });
    let pages = 0;
    const { items } = await client.list(nodesResource, {
      project: ({ metadata }) => metadata.name,
      pageSize: 5,
    });
    expect(new Set(items).size).toBe(12);
    expect(items).toHaveLength(12);
    expect(pages).toBe(3);
  });
});

describe('access', { timeout: 60_000 }, () => {
  test('a service account whose token is replaced', async () => {
    await create(node(1));
    const directory = join(server.authority.directory, 'account');
    mkdirSync(directory);
    const mount = async (name: string) => {
      writeFileSync(join(directory, 'token'), await server.serviceAccountToken(name));
      await bindRole(server.admin, 'podwire-nodes', `system:serviceaccount:default:${name}`);
    };
    await mount('first');
    writeFileSync(join(directory, 'ca.crt'), server.authority.own.cert);
    const { port } = new URL(server.url);
    const environment = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: port };
    const inCluster = createKubernetesRegistry({ access: inClusterAccess(environment, directory), timing });
    expect((await inCluster.list(once)).nodes).toHaveLength(1);
    const accounts = { group: '', version: 'v1', plural: 'serviceaccounts', namespace: 'default' };
    await server.admin.remove(accounts, 'first', {});
    // The server trusts what it knows of a token for some seconds.
    const refused = await waitUntil(
      'the token is refused',
      () =>
        inCluster.list(once).then(
          () => undefined,
          (error) => error,
        ),
      30_000,
    );
    expect(refused).toMatchObject({ status: 401, details: expect.stringContaining(`${directory}/token`) });
    await mount('second');
    expect((await inCluster.list(once)).nodes).toHaveLength(1);
  });

  test('a client certificate in a kubeconfig', async () => {
    await create(node(1));
    const { certFile, keyFile } = await server.authority.issue({ subject: '/CN=agent' });
    const path = join(server.authority.directory, 'kubeconfig');
    writeFileSync(
      path,
      `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: agent}}]
clusters: [{name: test, cluster: {server: "${server.url}", certificate-authority: ca.crt}}]
users: [{name: agent, user: {client-certificate: ${certFile}, client-key: ${keyFile}}}]
`,
    );
    const { nodes } = await createKubernetesRegistry({ access: loadKubeconfig(path) }).list(once);
    expect(nodes.map(({ name }) => name)).toEqual(['n1']);
  });
});

describe('objects', { timeout: 60_000 }, () => {
  test('are made once, replaced and removed by version', async () => {
    const { admin } = server;
    expect(await admin.get(nodesResource, 'n1')).toBeUndefined();
    const made = await admin.create(nodesResource, node(1));
    await expect(admin.create(nodesResource, node(1))).rejects.toMatchObject({
      status: 409,
      reason: 'AlreadyExists',
    });
    const labelled = { ...made, metadata: { ...made.metadata, labels: { zone: 'a' } } };
    const replaced = await admin.replace(nodesResource, labelled);
    await expect(admin.replace(nodesResource, labelled)).rejects.toMatchObject({
      status: 409,
      reason: 'Conflict',
    });
    const { resourceVersion } = made.metadata;
    await expect(admin.remove(nodesResource, 'n1', { resourceVersion })).rejects.toMatchObject({
      status: 409,
    });
    await admin.remove(nodesResource, 'n1', { resourceVersion: replaced.metadata.resourceVersion });
    await expect(admin.remove(nodesResource, 'n1', {})).rejects.toMatchObject({ status: 404 });
  });
});
