import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createEtcdRegistry,
  type EtcdRegistry,
  type EtcdRegistryOptions,
} from '../../agent/registry/etcd.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import { Relay } from '../support/relay.ts';
import { waitUntil } from '../support/wait-until.ts';
import { nodeOf, Watcher } from './etcd-watcher.ts';

describe('the registry of nodes in etcd', () => {
  let server: EtcdServer;
  let count = 0;
  let prefix = '';
  const running: { registry: EtcdRegistry; end: AbortController }[] = [];

  beforeAll(async () => {
    if (lackingEtcd() === undefined) server = await EtcdServer.start();
  });
  afterAll(async () => {
    for (const { registry, end } of running) {
      end.abort();
      registry.close();
    }
    await server?.[Symbol.asyncDispose]();
  });

  /** A node of its own: another instance. Aborting `end` is the end of its agent. */
  const makeNode = (options: Partial<EtcdRegistryOptions> = {}) => {
    const { ca: cacert, cert, key } = server.options.tls;
    const registry = createEtcdRegistry({
      endpoints: server.endpoints,
      ...{ cacert, cert, key },
      ...{ prefix, ttlSeconds: 3, instance: `instance ${running.length}` },
      ...options,
    });
    const node = { registry, end: new AbortController() };
    running.push(node);
    return { ...node, signal: node.end.signal };
  };

  const registryTest = (name: string, body: () => Promise<void>): void =>
    test(name, async (context) => {
      skipFor(context, lackingEtcd());
      prefix = `/test${count++}`;
      await body();
    });

  registryTest('a node that announces itself is listed, and told to who watches', async () => {
    const [one, two] = [makeNode(), makeNode()];
    await using watcher = new Watcher(one.registry);
    await watcher.shows();
    await one.registry.announce(nodeOf(1), one.signal);
    await watcher.shows('n1');
    await two.registry.announce(nodeOf(2), two.signal);
    await watcher.shows('n1', 'n2');
    expect(watcher.nodes).toEqual([nodeOf(1), nodeOf(2)]);
    expect(await two.registry.list(two.signal)).toEqual({ nodes: [nodeOf(1), nodeOf(2)], refused: [] });
    expect(JSON.parse(await server.ctl('get', `${prefix}/nodes/n1`, '--print-value-only'))).toEqual(
      nodeOf(1),
    );
    const changed = { ...nodeOf(2), addresses: ['198.51.100.99'] };
    await two.registry.announce(changed, two.signal);
    await waitUntil('the new address is told', () => watcher.nodes[1]?.addresses[0] === '198.51.100.99');
    expect(watcher.troubles).toEqual([]);
  });

  registryTest('an agent that starts anew changes nothing for the others', async () => {
    const first = makeNode({ instance: 'same' });
    await first.registry.announce(nodeOf(1), first.signal);
    await using watcher = new Watcher(makeNode().registry);
    await watcher.shows('n1');
    first.end.abort();
    const second = makeNode({ instance: 'same' });
    await second.registry.announce(nodeOf(1), second.signal);
    const other = makeNode();
    await other.registry.announce(nodeOf(2), other.signal);
    await watcher.shows('n1', 'n2');
    expect(watcher.told).toEqual([['n1'], ['n1', 'n2']]);
  });

  registryTest('entries that are wrong are left out, each with what is wrong', async () => {
    const one = makeNode();
    await one.registry.announce(nodeOf(1), one.signal);
    await server.ctl('put', `${prefix}/nodes/bad1`, 'no JSON');
    await server.ctl(
      'put',
      `${prefix}/nodes/bad2`,
      '{"name":"n1","addresses":["198.51.100.2"],"podCIDRs":[]}',
    );
    await server.ctl(
      'put',
      `${prefix}/nodes/bad3`,
      '{"name":"bad3","addresses":["198.51.100.256"],"podCIDRs":[]}',
    );
    const { nodes, refused } = await one.registry.list(one.signal);
    expect(nodes).toEqual([nodeOf(1)]);
    expect(refused.toSorted()).toEqual([
      expect.stringContaining('bad1'),
      expect.stringContaining('bad2'),
      expect.stringContaining('198.51.100.256'),
    ]);
  });

  registryTest('a node that vanishes is kept for the grace time, then it is gone', async () => {
    const [one, two] = [makeNode({ graceSeconds: 1 }), makeNode()];
    await one.registry.announce(nodeOf(1), one.signal);
    await two.registry.announce(nodeOf(2), two.signal);
    await using watcher = new Watcher(one.registry);
    await watcher.shows('n1', 'n2');
    two.end.abort();
    await watcher.shows('n1');
    expect(await server.ctl('get', '--prefix', `${prefix}/nodes/n2`)).toBe('');
    await two.registry.announce(nodeOf(2), makeNode().signal);
    await watcher.shows('n1', 'n2');
  });

  registryTest('a node that was cut off for longer than its lease is never gone', async () => {
    using relay = await Relay.to(server.endpoints[0] as string);
    const [one, two] = [
      makeNode({ graceSeconds: 3600 }),
      makeNode({ endpoints: [relay.url], ttlSeconds: 2 }),
    ];
    await two.registry.announce(nodeOf(2), two.signal);
    await using watcher = new Watcher(one.registry);
    await watcher.shows('n2');
    relay.cut();
    await waitUntil(
      'the lease has ended',
      async () => (await server.ctl('get', `${prefix}/nodes/n2/alive`)) === '',
    );
    relay.mend();
    await waitUntil(
      'it is alive again',
      async () => (await server.ctl('get', `${prefix}/nodes/n2/alive`)) !== '',
    );
    await one.registry.announce(nodeOf(1), one.signal);
    await watcher.shows('n1', 'n2');
    expect(watcher.alwaysHad('n2')).toBe(true);
  });

  registryTest('a node that leaves is gone at once', async () => {
    const [one, two] = [makeNode({ graceSeconds: 3600 }), makeNode({ ttlSeconds: 3600 })];
    await using watcher = new Watcher(one.registry);
    await one.registry.announce(nodeOf(1), one.signal);
    await two.registry.announce(nodeOf(2), two.signal);
    await watcher.shows('n1', 'n2');
    await two.registry.leave(nodeOf(2), two.signal);
    await watcher.shows('n1');
    expect(await server.ctl('get', '--prefix', `${prefix}/nodes/n2`)).toBe('');
  });

  registryTest('of two nodes of one name, the one that is alive keeps it', async () => {
    const [one, two] = [makeNode(), makeNode()];
    const other = { ...nodeOf(2), name: 'n1' };
    await one.registry.announce(nodeOf(1), one.signal);
    const refusal = {
      code: 7,
      message: expect.stringContaining('198.51.100.1'),
      details: expect.stringContaining('--node'),
    };
    await expect(two.registry.announce(other, two.signal)).rejects.toMatchObject(refusal);
    await expect(two.registry.leave(other, two.signal)).rejects.toMatchObject(refusal);
    expect((await one.registry.list(one.signal)).nodes).toEqual([nodeOf(1)]);
    one.end.abort();
    await waitUntil('the name is free', () =>
      two.registry.announce(other, two.signal).then(
        () => true,
        () => false,
      ),
    );
    expect((await one.registry.list(two.signal)).nodes).toEqual([other]);
  });

  registryTest('a node that was rebooted has its name at once, as it has its address', async () => {
    const [before, after] = [makeNode({ ttlSeconds: 3600 }), makeNode()];
    await before.registry.announce(nodeOf(1), before.signal);
    before.end.abort();
    await after.registry.announce(nodeOf(1), after.signal);
  });

  registryTest('who lost its lease registers anew, with what was removed', async () => {
    const one = makeNode();
    await one.registry.announce(nodeOf(1), one.signal);
    const alive = await server.ctl('get', `${prefix}/nodes/n1/alive`, '-w', 'json');
    // No double holds a lease's id.
    const [, lease = ''] = /"lease":(\d+)/.exec(alive) ?? [];
    await server.ctl('lease', 'revoke', BigInt(lease).toString(16));
    await server.ctl('del', `${prefix}/nodes/n1`);
    await waitUntil(
      'it is registered',
      async () =>
        (await server.ctl('get', '--prefix', `${prefix}/nodes/`, '--keys-only')).trim().split(/\n+/)
          .length === 2,
    );
  });

  registryTest('what was compacted while a watch was cut off is listed again', async () => {
    using relay = await Relay.to(server.endpoints[0] as string);
    const [one, two, three] = [makeNode(), makeNode(), makeNode({ endpoints: [relay.url] })];
    await one.registry.announce(nodeOf(1), one.signal);
    await two.registry.announce(nodeOf(2), two.signal);
    await using watcher = new Watcher(three.registry);
    await watcher.shows('n1', 'n2');
    relay.cut();
    await waitUntil('the watcher is in trouble', () => watcher.troubles.length > 0);
    await one.registry.announce({ ...nodeOf(1), addresses: ['198.51.100.77'] }, one.signal);
    await two.registry.leave(nodeOf(2), two.signal);
    const { header } = JSON.parse(await server.ctl('get', 'x', '-w', 'json'));
    await server.ctl('compact', String(header.revision));
    relay.mend();
    await watcher.shows('n1');
    expect(watcher.nodes[0]?.addresses).toEqual(['198.51.100.77']);
    expect(watcher.troubles[0]).toMatchObject({ code: 11 });
  });

  registryTest('a watch whose connection is dead without a word hears of changes again', async () => {
    using relay = await Relay.to(server.endpoints[0] as string);
    const [one, two] = [makeNode(), makeNode({ endpoints: [relay.url], silenceMs: 500 })];
    await using watcher = new Watcher(two.registry);
    await watcher.shows();
    relay.hold();
    await one.registry.announce(nodeOf(1), one.signal);
    await waitUntil('the watch notices', () => watcher.troubles.length > 0, 20_000);
    expect(watcher.told).toEqual([[]]);
    relay.mend();
    await watcher.shows('n1');
  });

  registryTest('twenty nodes that claim at once have twenty prefixes', async () => {
    const settings = { clusterCIDRs: ['10.7.0.0/19', 'fd00:7::/59'] };
    const nodes = Array.from({ length: 20 }, (_, index) => ({ name: `n${index}`, ...makeNode() }));
    const claimed = await Promise.all(
      nodes.map(({ name, registry, signal }) => registry.claimPodCIDRs(name, settings, signal)),
    );
    expect(claimed.every((prefixes) => prefixes.length === 2)).toBe(true);
    expect(new Set(claimed.flat()).size).toBe(40);
    for (const prefix of claimed.flat())
      expect(prefix).toMatch(/^10\.7\.\d+\.0\/24$|^fd00:7:[0-9a-f:]*::\/64$|^fd00:7::\/64$/);
    const again = makeNode();
    expect(await again.registry.claimPodCIDRs('n7', settings, again.signal)).toEqual(claimed[7]);
    // A prefix that a node was told, and one that was given back.
    await again.registry.leave({ name: 'n3', addresses: [] }, again.signal);
    await again.registry.announce(
      { name: 'told', addresses: ['198.51.100.1'], podCIDRs: claimed[3] ?? [] },
      again.signal,
    );
    const rest = Array.from({ length: 12 }, (_, index) => `more${index}`);
    const more = await Promise.all(
      rest.map((name) => again.registry.claimPodCIDRs(name, settings, again.signal)),
    );
    expect(new Set([...claimed, ...more].flat()).size).toBe(64);
    await expect(again.registry.claimPodCIDRs('late', settings, again.signal)).rejects.toMatchObject({
      code: 102,
      message: expect.stringContaining('10.7.0.0/19'),
    });
  });

  registryTest('a claim that was taken away is made anew, and one that is there costs one read', async () => {
    const { registry, signal } = makeNode();
    const settings = { clusterCIDRs: ['10.8.0.0/16'] };
    const first = await registry.claimPodCIDRs('n', settings, signal);
    const reads = await server.callsOf('Range');
    expect(await registry.claimPodCIDRs('n', settings, signal)).toEqual(first);
    expect(await server.callsOf('Range')).toBe(reads + 1);
    await server.ctl('put', `${prefix}/subnets/${first[0]}`, '{"node":"other"}');
    const second = await registry.claimPodCIDRs('n', settings, signal);
    expect(second).not.toEqual(first);
    expect(await registry.claimPodCIDRs('other', settings, signal)).toEqual(first);
  });

  registryTest('the cluster range must fit the prefixes of nodes', async () => {
    const { registry, signal } = makeNode();
    const claim = (clusterCIDRs: string[], nodePrefixLengths = {}) =>
      registry.claimPodCIDRs('n', { clusterCIDRs, nodePrefixLengths }, signal);
    await expect(claim(['10.0.0.1/8'])).rejects.toMatchObject({ code: 7 });
    await expect(claim(['10.0.0.0/25'])).rejects.toMatchObject({ code: 7 });
    expect(await claim(['10.0.0.0/25'], { 4: 25 })).toEqual(['10.0.0.0/25']);
  });
});
