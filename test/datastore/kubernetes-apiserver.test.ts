import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isObject } from '../../shared/cni/fields.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { datastoreContract } from '../../shared/store/datastore/contract.ts';
import { collections, type StoredRecord } from '../../shared/store/datastore/datastore.ts';
import { createKubernetesDatastore } from '../../shared/store/datastore/kubernetes.ts';
import { kinds } from '../../shared/store/datastore/kubernetes-kinds.ts';
import { poolStatuses, publishPoolStatuses } from '../../shared/store/datastore/kubernetes-status.ts';
import { KubeApiServer, lackingApiServer } from '../support/kubernetes/kube-apiserver.ts';
import { skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';

// The datastore against a real kube-apiserver, with the definitions that are shipped.

const lacking = lackingApiServer();
const definitions = Bun.YAML.parse(
  readFileSync(resolve(import.meta.dirname, '../../conf/kubernetes/crds.yaml'), 'utf8'),
) as JsonObject[];

let server: KubeApiServer;
beforeAll(async () => {
  if (lacking !== undefined) return;
  server = await KubeApiServer.start();
  const crds = { group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions' };
  for (const definition of definitions) {
    const { metadata } = await server.admin.create(crds, definition);
    await waitUntil(`${metadata.name} is established`, async () => {
      const status = (await server.admin.get(crds, metadata.name))?.status;
      const conditions = isObject(status) && Array.isArray(status.conditions) ? status.conditions : [];
      const established = conditions.some(
        (condition) => isObject(condition) && condition.type === 'Established' && condition.status === 'True',
      );
      return established && definition;
    });
  }
}, 120_000);
afterAll(() => server?.dispose());

/** Removes all records there are. */
const empty = async (): Promise<void> => {
  for (const collection of collections) {
    const { resource } = kinds[collection];
    const { items } = await server.admin.list(resource, { project: ({ metadata }) => metadata.name });
    for (let from = 0; from < items.length; from += 50) {
      await Promise.all(items.slice(from, from + 50).map((name) => server.admin.remove(resource, name, {})));
    }
  }
};

if (lacking !== undefined) {
  test('the contract of datastores: kubernetes, by a real API server', (context) => context.skip(lacking));
} else {
  datastoreContract('kubernetes, by a real API server', async () => {
    const [store, other] = [0, 1].map(() => createKubernetesDatastore(server.access('admin-token')));
    return { store, other, dispose: empty } as never;
  });
}

describe('the schemas', () => {
  beforeEach((context) => skipFor(context, lacking));

  test('keep every key that records have', async () => {
    const store = createKubernetesDatastore(server.access('admin-token'));
    const records = {
      'pools/all': {
        cidr: '10.244.0.0/16',
        blockSize: 26,
        disabled: false,
        namespaceSelector: { names: ['a'], matchLabels: { team: 'a' } },
        nodeSelector: { matchLabels: { zone: 'a' } },
        excluded: ['10.244.0.0/24', '10.244.1.1', '10.244.1.5-10.244.1.9'],
        reserved: ['10.244.2.0/24'],
        gateway: '10.244.0.1',
      },
      'pools/six': {
        cidr: 'fd00:244::/48',
        blockSize: 122,
        excluded: ['fd00:244::1-fd00:244::ff'],
        gateway: 'fd00:244::1',
      },
      'blocks/10-244-1-64-26': {
        cidr: '10.244.1.64/26',
        pool: 'all',
        node: 'n1',
        network: 'pods',
        claimedAt: '2026-01-01T00:00:00.000Z',
        missingSince: '2026-01-02T00:00:00.000Z',
      },
      'addresses/10-244-1-5': {
        address: '10.244.1.5',
        pool: 'all',
        node: 'n1',
        network: 'pods',
        key: 'pods/default/web-0/eth0',
        containerId: 'c1',
        ifname: 'eth0',
        pod: 'default/web-0',
        holdSeconds: 600,
        releasedAt: '2026-01-01T00:00:00.000Z',
        missingSince: '2026-01-02T00:00:00.000Z',
      },
    };
    for (const [path, value] of Object.entries(records)) {
      expect((await store.create(path, value)).value, path).toEqual(value);
      expect((await store.get(path))?.value, path).toEqual(value);
    }
    store.close();
    await empty();
  });

  test.for<[what: string, path: string, value: JsonObject]>([
    ['a pool without network', 'pools/a', { blockSize: 26 }],
    ['a network that is none', 'pools/a', { cidr: '10.244.0.0' }],
    ['a block size that is none', 'pools/a', { cidr: '10.244.0.0/16', blockSize: 129 }],
    ['a range that is none', 'pools/a', { cidr: '10.244.0.0/16', excluded: ['all'] }],
    ['an address that is none', 'addresses/a', { address: 'x', pool: 'a', node: 'n1', network: 'pods' }],
    ['a block of nobody', 'blocks/a', { cidr: '10.244.0.0/26', pool: 'a' }],
  ])('refuse %s', async ([, path, value]) => {
    const store = createKubernetesDatastore(server.access('admin-token'));
    const made = store.create(path, value);
    await expect(made).rejects.toMatchObject({
      problem: 'unavailable',
      message: expect.stringMatching(/^Kubernetes: create .*: HTTP 422: /),
    });
    store.close();
  });

  test('a block keeps its network', async () => {
    const store = createKubernetesDatastore(server.access('admin-token'));
    const value = { cidr: '10.244.0.0/26', pool: 'a', node: 'n1', network: 'pods' };
    const record = await store.create('blocks/10-244-0-0-26', value);
    const other = { ...value, cidr: '10.244.0.64/26' };
    await expect(store.replace(record, other)).rejects.toMatchObject({
      message: expect.stringContaining('the network of a block never changes'),
    });
    await store.remove(record);
    store.close();
  });
});

describe('the status of a pool', () => {
  beforeEach((context) => skipFor(context, lacking));
  const block = (index: number, node: string) => ({
    cidr: `10.244.${index}.0/26`,
    pool: 'all',
    node,
    network: 'pods',
  });

  test('is written by one node, when it changed, and is no part of the record', async () => {
    const store = createKubernetesDatastore(server.access('admin-token'));
    const pool = { cidr: '10.244.0.0/16' };
    await store.create('pools/all', pool);
    const made = [block(1, 'n1'), block(2, 'n1'), block(3, 'n2')];
    for (const [index, value] of made.entries()) await store.create(`blocks/b${index}`, value);
    const view = { blocks: await store.list('blocks/'), addresses: [] };
    expect(poolStatuses('n2', view)).toEqual(new Map());
    const statuses = poolStatuses('n1', view);
    expect(statuses).toEqual(new Map([['all', { claimedBlocks: 3, nodes: 2, fixedAddresses: 0 }]]));
    await publishPoolStatuses(
      server.admin,
      new Map([...statuses, ['gone', { claimedBlocks: 1, nodes: 1, fixedAddresses: 0 }]]),
    );
    const written = await store.get('pools/all');
    expect(written?.value).toEqual(pool);
    expect((await server.admin.get(kinds.pools.resource, 'all'))?.status).toEqual(statuses.get('all'));
    await publishPoolStatuses(server.admin, statuses);
    expect(await store.get('pools/all')).toEqual(written);
    // Nor is it lost when the record is replaced.
    await store.replace(written as StoredRecord, { ...pool, disabled: true });
    expect((await server.admin.get(kinds.pools.resource, 'all'))?.status).toEqual(statuses.get('all'));
    store.close();
    await empty();
  });
});
