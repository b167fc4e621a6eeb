import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createKubernetesRegistry } from '../../agent/registry/kubernetes.ts';
import { createKubernetesClient } from '../../shared/store/kubernetes/client.ts';
import type { ListAndWatchTiming } from '../../shared/store/kubernetes/list-and-watch.ts';
import { nodesResource } from '../../shared/store/kubernetes/resource.ts';
import { Authority } from '../support/kubernetes/certificates.ts';
import { ScriptedApiServer, status } from '../support/kubernetes/scripted-api-server.ts';
import { Refusal } from '../support/kubernetes/scripted-objects.ts';
import { lackingTools, skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type NodeDescription, nodeObject } from './node-object.ts';
import { RegistryWatch } from './registry-watch.ts';

// The rules of the API server's wire format that it is hard to make a real one show. What it does by itself is
// in kubernetes-apiserver.test.ts.

const NODES = '/api/v1/nodes';
const timing: ListAndWatchTiming = {
  lifeMs: 60_000,
  silenceMs: 60_000,
  headMs: 5_000,
  backoff: { first: 20, most: 200 },
};

let authority: Authority;
let server: ScriptedApiServer;
let watches: RegistryWatch[] = [];
const lacking = lackingTools('openssl');
beforeAll(async () => {
  if (lacking === undefined) authority = await Authority.create();
});
beforeEach(async (context) => {
  skipFor(context, lacking);
  server = await ScriptedApiServer.start(authority);
});
afterEach(async () => {
  await Promise.all(watches.map((watch) => watch.end()));
  watches = [];
  await server?.stop();
});
afterAll(() => authority?.dispose());

const registry = (own = timing) => createKubernetesRegistry({ access: server.access(), timing: own });
const watched = (own = timing): RegistryWatch => {
  const watch = new RegistryWatch(registry(own));
  watches.push(watch);
  return watch;
};
const node = (index: number, more: Partial<NodeDescription> = {}) =>
  nodeObject({
    name: `n${index}`,
    addresses: [`198.51.100.${index}`],
    podCIDRs: [`10.244.${index}.0/24`],
    ...more,
  });
const put = (index: number, more: Partial<NodeDescription> = {}) =>
  server.objects.put(NODES, node(index, more));
const isWatching = () => waitUntil('a watch is open', () => server.watching === 1);

describe('what nodes are told', () => {
  test('name, InternalIPs in their order, pod ranges', async () => {
    put(1, { addresses: ['198.51.100.1', '2001:db8::1'], podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'] });
    expect(await registry().list(new AbortController().signal)).toEqual({
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

  test('one without address or range is not there yet, one with nonsense is refused', async () => {
    put(1, { podCIDRs: [] });
    put(2, { addresses: [] });
    put(3, { podCIDRs: ['10.244.3.0'] });
    put(4, { addresses: ['198.51.100.400'] });
    put(5);
    const { nodes, refused } = await registry().list(new AbortController().signal);
    expect(nodes.map(({ name }) => name)).toEqual(['n5']);
    expect(refused).toEqual([
      'node n3: pod range "10.244.3.0" is no network',
      'node n4: InternalIP "198.51.100.400" is no IP address',
    ]);
  });

  test('podCIDR counts where there are no podCIDRs', async () => {
    server.objects.put(NODES, { ...node(1), spec: { podCIDR: '10.244.1.0/24' } });
    const { nodes } = await registry().list(new AbortController().signal);
    expect(nodes[0]?.podCIDRs).toEqual(['10.244.1.0/24']);
  });
});

describe('list', () => {
  test('goes through all pages', async () => {
    for (let index = 100; index < 225; index++) put(index);
    const client = createKubernetesClient(server.access());
    const { items } = await client.list(nodesResource, {
      project: ({ metadata }) => metadata.name,
      pageSize: 50,
    });
    expect(items).toEqual(Array.from({ length: 125 }, (_, index) => `n${index + 100}`));
    expect(server.requests.map(({ query }) => [query.limit, query.continue !== undefined])).toEqual([
      ['50', false],
      ['50', true],
      ['50', true],
    ]);
  });

  test('begins again, whole, when the pages expire meanwhile', async () => {
    for (let index = 100; index < 125; index++) put(index);
    const client = createKubernetesClient(server.access());
    let taken = 0;
    const { items } = await client.list(nodesResource, {
      pageSize: 10,
      project: ({ metadata }) => {
        if (taken++ === 0) server.objects.forget();
        return metadata.name;
      },
    });
    expect(items).toHaveLength(25);
    expect(new Set(items).size).toBe(25);
    expect(server.requests.map(({ query }) => query.limit)).toEqual(['10', '10', undefined]);
  });

  test('is tried again when the server had too much to do', async () => {
    put(1);
    const later = new Refusal(429, 'TooManyRequests', 'later');
    server.next('GET', NODES, () => status(later, { 'retry-after': '1' }));
    expect((await registry().list(new AbortController().signal)).nodes).toHaveLength(1);
    expect(server.requests).toHaveLength(2);
  });

  test('does not wait longer than its deadline when the server asks it to', async () => {
    const later = new Refusal(429, 'TooManyRequests', 'later');
    server.next('GET', NODES, () => status(later, { 'retry-after': '3600' }));
    await expect(registry().list(new AbortController().signal)).rejects.toMatchObject({
      code: 11,
      status: 429,
      message: 'Kubernetes: list nodes: HTTP 429: later',
    });
  });

  test.for([500, 502, 503, 504])('is tried again after %i', async (code) => {
    put(1);
    server.next('GET', NODES, () => new Response('an intermediary failed', { status: code }));
    expect((await registry().list(new AbortController().signal)).nodes).toHaveLength(1);
  });

  test('is tried again when it breaks off in the middle', async () => {
    for (let index = 1; index < 5; index++) put(index);
    server.next(
      'GET',
      NODES,
      () => new Response('{"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":[{"meta'),
    );
    expect((await registry().list(new AbortController().signal)).nodes).toHaveLength(4);
  });

  test('ends with the reason when it can only fail', async () => {
    const client = createKubernetesClient(server.access());
    server.next('GET', NODES, () => new Response('', { status: 503 }));
    await server.stop();
    const list = client.list(nodesResource, { project: () => 1, deadlineMs: 300 });
    await expect(list).rejects.toMatchObject({
      code: 11,
      status: 0,
      message: `Kubernetes: list nodes: no valid answer from ${server.url}: ECONNREFUSED`,
    });
  });

  test('names the rule that a role lacks', async () => {
    const message =
      'nodes is forbidden: User "system:serviceaccount:podwire:agent" cannot list resource "nodes"';
    server.next('GET', NODES, () => status(new Refusal(403, 'Forbidden', message)));
    await expect(registry().list(new AbortController().signal)).rejects.toMatchObject({
      code: 5,
      message: `Kubernetes: list nodes: HTTP 403: ${message}`,
      details:
        'Bind a ClusterRole with the rule {"apiGroups":[""],"resources":["nodes"],"verbs":["list"]} to who this is (the test).',
    });
    expect(server.requests).toHaveLength(1);
  });
});

describe('watch', () => {
  test('tells nodes that come, change and go', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    put(2);
    await watch.names('n1', 'n2');
    put(2, { addresses: ['198.51.100.22'] });
    await waitUntil('the address is new', () => watch.nodes[1]?.addresses[0] === '198.51.100.22');
    server.objects.remove(NODES, 'n1');
    await watch.names('n2');
    put(2, { podCIDRs: [] });
    await watch.names();
    expect(server.count('GET', NODES)).toBe(1);
    expect(watch.troubles).toEqual([]);
  });

  test('heartbeats are not told', async () => {
    put(1);
    put(2);
    const watch = watched();
    await watch.names('n1', 'n2');
    await isWatching();
    const { told } = watch;
    for (let beat = 0; beat < 50; beat++) put((beat % 2) + 1, { heartbeat: `beat ${beat}` });
    put(3);
    await watch.names('n1', 'n2', 'n3');
    expect(watch.told).toBe(told + 1);
  });

  test('many changes at once are few states', async () => {
    const watch = watched();
    await watch.names();
    await isWatching();
    const { told } = watch;
    const lines = Array.from({ length: 200 }, (_, index) => index + 1).map((index) => {
      const object = structuredClone(node(index)) as { metadata: object };
      object.metadata = { ...object.metadata, resourceVersion: String(index) };
      return `${JSON.stringify({ type: 'ADDED', object })}\n`;
    });
    server.say(lines.join(''));
    await waitUntil('all are told', () => watch.nodes.length === 200);
    expect(watch.told - told).toBeLessThan(50);
  });

  test('goes on where it ended, also from a bookmark', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    // Of other kinds of objects: only the bookmark tells that the state moved on.
    for (let index = 0; index < 5; index++) server.objects.put('/api/v1/pods', node(index));
    const bookmarked = server.objects.revision;
    server.bookmark();
    server.endWatches();
    await waitUntil('it watches again', () => server.count('WATCH', NODES) === 2);
    expect(server.requests.at(-1)?.query).toMatchObject({
      resourceVersion: String(bookmarked),
      allowWatchBookmarks: 'true',
    });
    put(2);
    await watch.names('n1', 'n2');
    expect(server.count('GET', NODES)).toBe(1);
    expect(watch.troubles).toEqual([]);
  });

  test('what changed while it was not watched is told', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    await server.stop();
    put(2);
    server.objects.remove(NODES, 'n1');
    await server.listen();
    await watch.names('n2');
    expect(server.count('GET', NODES)).toBe(1);
  });

  test('lists anew when its state is forgotten: an event says so', async () => {
    put(1);
    put(2);
    const watch = watched();
    await watch.names('n1', 'n2');
    await isWatching();
    const { told } = watch;
    // The removal can no longer be watched.
    await server.stop();
    server.objects.remove(NODES, 'n1');
    for (let index = 0; index < 3; index++) server.objects.forget();
    await server.listen();
    await watch.names('n2');
    expect(watch.told).toBeGreaterThan(told);
    expect(server.count('GET', NODES)).toBe(2);
    // Not from memory, which may be of before.
    expect(
      server.requests
        .filter(({ query }) => query.watch === undefined)
        .map(({ query }) => query.resourceVersion),
    ).toEqual(['0', undefined]);
  });

  test('lists anew when its state is forgotten: the answer is 410', async () => {
    put(1);
    server.next('WATCH', NODES, () => status(new Refusal(410, 'Gone', 'too old resource version')));
    const watch = watched();
    await waitUntil('it watches', () => server.watching === 1);
    expect(server.count('GET', NODES)).toBe(2);
    expect(watch.troubles).toEqual([]);
  });

  test('a state that is forgotten at once, again and again, is not asked for in a tight loop', async () => {
    put(1);
    for (let index = 0; index < 1000; index++) {
      server.next('WATCH', NODES, () => status(new Refusal(410, 'Gone', 'too old resource version')));
    }
    const watch = watched();
    await watch.names('n1');
    await waitUntil('it has listed five times', () => server.count('GET', NODES) >= 5);
    const before = server.requests.length;
    await Bun.sleep(300);
    expect(server.requests.length - before).toBeLessThan(20);
  });

  test('a connection that breaks within an event loses nothing', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    server.say('{"type":"ADDED","object":{"metadata":{"name":"n9","resourceVer');
    await server.breakConnections();
    await isWatching();
    put(2);
    await watch.names('n1', 'n2');
    expect(server.count('GET', NODES)).toBe(1);
  });

  test('an event that comes in many pieces is one', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    const object = structuredClone(node(2)) as { metadata: object; status: object };
    object.metadata = {
      ...object.metadata,
      resourceVersion: '77',
      annotations: { text: 'ü€😀'.repeat(2000) },
    };
    const bytes = JSON.stringify({ type: 'ADDED', object });
    for (let from = 0; from < bytes.length; from += 997) {
      server.say(bytes.slice(from, from + 997));
      await Bun.sleep(1);
    }
    server.say('\n');
    await watch.names('n1', 'n2');
    server.endWatches();
    await waitUntil('it watches again', () => server.count('WATCH', NODES) === 2);
    expect(server.requests.at(-1)?.query.resourceVersion).toBe('77');
  });

  test('a connection on which nothing comes is given up', async () => {
    put(1);
    const watch = watched({ ...timing, silenceMs: 200 });
    await watch.names('n1');
    await waitUntil('it watches for the third time', () => server.count('WATCH', NODES) >= 3);
    expect(watch.troubles).toEqual([]);
    expect(server.count('GET', NODES)).toBe(1);
    await waitUntil('only one watch is open', () => server.watching === 1);
  });

  test('a server that takes connections and does not answer is trouble', async () => {
    put(1);
    server.next('WATCH', NODES, () => new Promise(() => {}));
    const watch = watched({ ...timing, headMs: 200 });
    const error = await waitUntil('trouble is told', () => watch.troubles[0]);
    expect(error.message).toBe(
      `Kubernetes: watch nodes: no valid answer from ${server.url}: none within 200 ms`,
    );
    await isWatching();
    await waitUntil('its end is told', () => watch.told >= 2);
  });

  test('a server that is away is trouble, and its return is told', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    const { told } = watch;
    await server.stop();
    await waitUntil('trouble is told', () => watch.troubles.length > 1);
    expect(watch.troubles[0]).toMatchObject({ code: 11 });
    expect(watch.told).toBe(told);
    await server.listen();
    await waitUntil('its end is told', () => watch.told === told + 1);
    await watch.names('n1');
  });

  test('an error event other than 410 is trouble', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    const failure = new Refusal(500, 'InternalError', 'etcdserver: leader changed');
    server.say(`${JSON.stringify({ type: 'ERROR', object: failure.body })}\n`);
    const error = await waitUntil('trouble is told', () => watch.troubles[0]);
    expect(error.message).toBe('Kubernetes: watch nodes: HTTP 500: etcdserver: leader changed');
  });

  test('nothing is told, and nothing asked, after its end', async () => {
    put(1);
    const watch = watched();
    await watch.names('n1');
    await isWatching();
    await watch.end();
    await waitUntil('the watch is closed', () => server.watching === 0);
    const { told } = watch;
    const requests = server.requests.length;
    put(2);
    await Bun.sleep(100);
    expect([watch.told, server.requests.length]).toEqual([told, requests]);
  });
});
