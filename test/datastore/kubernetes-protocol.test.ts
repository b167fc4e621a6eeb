import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { datastoreContract } from '../../shared/store/datastore/contract.ts';
import type { Datastore } from '../../shared/store/datastore/datastore.ts';
import { createKubernetesDatastore } from '../../shared/store/datastore/kubernetes.ts';
import { Authority } from '../support/kubernetes/certificates.ts';
import { ScriptedApiServer, status } from '../support/kubernetes/scripted-api-server.ts';
import { Refusal } from '../support/kubernetes/scripted-objects.ts';
import { lackingTools, skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';

// The datastore against a server that speaks the API's wire format, and that fails as it is told to.

const BLOCKS = '/apis/ipam.podwire.dev/v1alpha1/podwireblocks';
const value = { cidr: '10.244.1.0/26', pool: 'default', node: 'n1', network: 'pods' };

let authority: Authority;
let server: ScriptedApiServer;
let store: Datastore;
const lacking = lackingTools('openssl');
beforeAll(async () => {
  if (lacking === undefined) authority = await Authority.create();
});
afterAll(() => authority?.dispose());

if (lacking !== undefined) {
  test('the contract of datastores: kubernetes, by the wire format', (context) => context.skip(lacking));
} else {
  datastoreContract('kubernetes, by the wire format', async () => {
    const own = await ScriptedApiServer.start(authority);
    const store = createKubernetesDatastore(own.access());
    return { store, other: createKubernetesDatastore(own.access()), dispose: () => own.stop() };
  });
}

describe('failures', () => {
  beforeEach(async (context) => {
    skipFor(context, lacking);
    server = await ScriptedApiServer.start(authority);
    store = createKubernetesDatastore(server.access());
  });
  afterEach(async () => {
    store?.close();
    await server?.stop();
  });

  test('a record is an object of its kind', async () => {
    await store.create('blocks/10-244-1-0-26', value);
    expect(server.objects.all(BLOCKS)).toMatchObject([
      {
        apiVersion: 'ipam.podwire.dev/v1alpha1',
        kind: 'PodwireBlock',
        metadata: { name: '10-244-1-0-26' },
        spec: value,
      },
    ]);
  });

  test('a kind that is not installed is no record that is missing', async () => {
    const answer = () => new Response('404 page not found', { status: 404 });
    for (const [method, path] of [
      ['GET', `${BLOCKS}/a`],
      ['GET', BLOCKS],
      ['POST', BLOCKS],
    ] as const) {
      server.next(method, path, answer);
    }
    const expected = {
      problem: 'unavailable',
      code: 11,
      details:
        'The server has no podwireblocks.ipam.podwire.dev of v1alpha1: apply its CustomResourceDefinition.',
    };
    await expect(store.get('blocks/a')).rejects.toMatchObject(expected);
    await expect(store.list('blocks/')).rejects.toMatchObject(expected);
    await expect(store.create('blocks/a', value)).rejects.toMatchObject(expected);
  });

  test('a write whose answer is lost is not written again', async () => {
    server.next('POST', BLOCKS, async () => {
      server.objects.create(BLOCKS, { metadata: { name: 'a' }, spec: value });
      await server.breakConnections();
      return new Response();
    });
    await expect(store.create('blocks/a', value)).rejects.toMatchObject({ problem: 'unavailable' });
    expect(server.count('POST', BLOCKS)).toBe(1);
    expect(await store.get('blocks/a')).toMatchObject({ value });
  });

  test('a write that was not accepted is written again', async () => {
    server.next('POST', BLOCKS, () =>
      status(new Refusal(429, 'TooManyRequests', 'later'), { 'retry-after': '0' }),
    );
    expect(await store.create('blocks/a', value)).toMatchObject({ path: 'blocks/a' });
    expect(server.count('POST', BLOCKS)).toBe(2);
  });

  test('a write waits for a server that is away, until its deadline', async () => {
    await server.stop();
    await expect(store.create('blocks/a', value, { deadlineMs: 50 })).rejects.toMatchObject({
      problem: 'unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    const made = store.create('blocks/a', value);
    await server.listen();
    expect(await made).toMatchObject({ path: 'blocks/a', value });
  });

  test('a server that does not answer is unavailable at the deadline', async () => {
    server.next('GET', `${BLOCKS}/a`, () => new Promise(() => {}));
    await expect(store.get('blocks/a', { deadlineMs: 100 })).rejects.toMatchObject({
      problem: 'unavailable',
      message: expect.stringContaining('within 100 ms'),
    });
  });

  test('missing rights are named', async () => {
    server.next('POST', BLOCKS, () =>
      status(new Refusal(403, 'Forbidden', 'podwireblocks is forbidden', 'a')),
    );
    await expect(store.create('blocks/a', value)).rejects.toMatchObject({
      problem: 'unavailable',
      details: expect.stringContaining(
        '{"apiGroups":["ipam.podwire.dev"],"resources":["podwireblocks"],"verbs":["create"]}',
      ),
    });
  });

  test('a signal and a close end a call', async () => {
    for (const name of ['a', 'b']) server.next('GET', `${BLOCKS}/${name}`, () => new Promise(() => {}));
    const end = new AbortController();
    const [first, second] = [store.get('blocks/a', { signal: end.signal }), store.get('blocks/b')];
    await waitUntil('both are asked', () => server.requests.length === 2);
    end.abort();
    await expect(first).rejects.toMatchObject({ problem: 'unavailable' });
    store.close();
    await expect(second).rejects.toMatchObject({ problem: 'unavailable' });
    expect(server.requests).toHaveLength(2);
  });

  test('a watch goes on through a restart, and tells trouble as what it is', async () => {
    const names: string[] = [];
    const troubles: unknown[] = [];
    const end = new AbortController();
    const patient = createKubernetesDatastore(server.access(), {
      timing: { lifeMs: 60_000, silenceMs: 60_000, headMs: 5_000, backoff: { first: 20, most: 100 } },
    });
    const watching = patient.watch(
      'blocks/a',
      {
        records: (records) => names.splice(0, names.length, ...records.map(({ path }) => path)),
        changed: ({ path }) => names.push(path),
        removed: (path) => names.splice(names.indexOf(path), 1),
        trouble: (error) => troubles.push(error),
      },
      end.signal,
    );
    await waitUntil('it watches', () => server.watching === 1);
    await store.create('blocks/a1', value);
    await store.create('blocks/b1', value);
    await waitUntil('it tells', () => names.length === 1);
    await server.stop();
    await waitUntil('trouble is told', () => troubles.length > 0);
    expect(troubles[0]).toMatchObject({ problem: 'unavailable', code: 11 });
    server.objects.create(BLOCKS, { metadata: { name: 'a2' }, spec: value });
    await server.listen();
    await waitUntil('it tells again', () => names.length === 2);
    expect(names).toEqual(['blocks/a1', 'blocks/a2']);
    end.abort();
    await watching;
  });
});
