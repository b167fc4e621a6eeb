import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import {
  callPlugin,
  expectDone,
  expectResult,
  newContainerId,
  type PluginCall,
  type PluginOutcome,
} from '../support/call-plugin.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';

const pools = [
  { name: 'v4', cidr: '10.77.0.0/16' },
  { name: 'v6', cidr: 'fd77::/64' },
];
const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
const ipam = { type: 'cluster-ipam', nodeName: 'n1', pools, routes };
const common = { cniVersion: '1.0.0', name: 'cluster' };

let host: TestHost;
beforeEach(async () => {
  expectPlugins(podwireBin, 'cluster-ipam', 'bridge', 'ptp');
  host = await createHost({ name: 'cluster-ipam' });
});
afterEach(() => host?.dispose());

const addressesOf = ({ result }: PluginOutcome): string[] =>
  (result?.ips ?? []).map(({ address }) => address.replace(/\/.*/, ''));

/** A call of the IPAM plugin alone, as a network plugin makes it. */
const call = (command: string, containerId: string, keys: object = {}, more: Partial<PluginCall> = {}) =>
  callPlugin(host, {
    binDir: podwireBin,
    plugin: 'cluster-ipam',
    command,
    containerId,
    netns: '/run/netns/none',
    config: { ...common, cniVersion: '1.1.0', type: 'bridge', ipam: { ...ipam, ...keys } },
    ...more,
  });

const records = async (collection: string): Promise<Record<string, unknown>[]> => {
  const { stdout } = await host.attempt([
    '/bin/sh',
    '-c',
    `cat /var/lib/podwire/datastore/${collection}/*.json 2>/dev/null`,
  ]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { value: Record<string, unknown> }).value);
};

describe('cluster-ipam below network plugins', () => {
  test.for(
    [
      { whose: 'our bridge', binDir: podwireBin, plugin: 'bridge' },
      { whose: "the reference's bridge", binDir: referenceBin, plugin: 'bridge' },
      { whose: 'our ptp', binDir: podwireBin, plugin: 'ptp' },
      { whose: "the reference's ptp", binDir: referenceBin, plugin: 'ptp' },
    ].flatMap((row) =>
      // A host's own prefix needs a route to the gateway, which ours alone makes.
      ['pool', 'block', ...(row.whose === 'our ptp' ? ['host'] : [])].map((prefix) => ({ ...row, prefix })),
    ),
  )('$whose, prefix "$prefix"', async ({ binDir, plugin, prefix }) => {
    expectPlugins(binDir, plugin);
    const [a, b] = [await host.addPod('a'), await host.addPod('b')];
    const config = {
      ...common,
      type: plugin,
      ...(plugin === 'bridge' ? { bridge: 'cni0', isGateway: true } : {}),
      ipam: { ...ipam, prefix },
    };
    const base: Omit<PluginCall, 'command'> = { binDir, plugin, path: [podwireBin], config };
    const forA = { ...base, containerId: newContainerId(), netns: a };
    const forB = { ...base, containerId: newContainerId(), netns: b };
    const first = await callPlugin(host, { ...forA, command: 'ADD' });
    const second = await callPlugin(host, { ...forB, command: 'ADD' });
    const result = expectResult(first);
    expectResult(second);
    const [v4 = '', v6 = ''] = addressesOf(second);
    expect(v4).toMatch(/^10\.77\./);
    expect(v6).toMatch(/^fd77:/);
    expect(await ping(a, v4)).toBe(true);
    expect(await ping(a, v6)).toBe(true);
    expectDone(
      await callPlugin(host, { ...forA, command: 'CHECK', config: { ...config, prevResult: result } }),
    );
    expect((await reservedHere()).toSorted()).toEqual(
      [...addressesOf(first), ...addressesOf(second)].toSorted(),
    );
    expectDone(
      await callPlugin(host, { ...forA, command: 'DEL', config: { ...config, prevResult: result } }),
    );
    expectDone(await callPlugin(host, { ...forB, command: 'DEL' }));
    expect(await reservedHere()).toEqual([]);
  });

  const reservedHere = async (): Promise<string[]> => {
    const { stdout } = await host.attempt(['ls', '/var/lib/podwire/ipam/cluster']);
    return stdout.split('\n').filter((name) => /^[0-9a-f]+[.:]/.test(name));
  };
});

test('two nodes of one datastore, a hundred ADDs at once: no address twice, all blocks of one node each', {
  timeout: 120_000,
}, async () => {
  const small = { pools: [{ name: 'v4', cidr: '10.77.0.0/24', blockSize: 28 }] };
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, index) => {
      const nodeName = `n${(index % 2) + 1}`;
      return call('ADD', `c${index}`, { ...small, nodeName, dataDir: `/var/lib/podwire/${nodeName}` });
    }),
  );
  const addresses = outcomes.flatMap((outcome) => {
    expectResult(outcome);
    return addressesOf(outcome);
  });
  expect(addresses).toHaveLength(100);
  expect(new Set(addresses).size).toBe(100);
  const blocks = await records('blocks');
  expect(new Set(blocks.map(({ cidr }) => cidr)).size).toBe(blocks.length);
  for (const [index, address] of addresses.entries()) {
    const base = Math.floor(Number(address.split('.')[3]) / 16) * 16;
    const block = blocks.find(({ cidr }) => cidr === `10.77.0.${base}/28`);
    expect(block).toMatchObject({ node: `n${(index % 2) + 1}`, network: 'cluster' });
  }
});

test('the pool is chosen by namespace, or by the annotation; a pod that has none is told why', async () => {
  const keys = {
    pools: [
      { name: 'all', cidr: '10.77.0.0/24' },
      { name: 'labelled', cidr: '10.77.3.0/24', namespaceSelector: { matchLabels: { tier: 'db' } } },
      { name: 'team', cidr: '10.77.1.0/24', namespaceSelector: { names: ['team'] } },
      { name: 'edge', cidr: '10.77.2.0/24', nodeSelector: { matchLabels: { zone: 'edge' } } },
    ],
    namespaceLabels: { data: { tier: 'db' } },
  };
  const inNamespace = (namespace: string) => ({
    args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=p`,
  });
  const annotated = (value: string) => ({
    ...inNamespace('default'),
    config: {
      ...common,
      type: 'bridge',
      ipam: { ...ipam, ...keys },
      runtimeConfig: { 'io.kubernetes.cri.pod-annotations': { 'podwire.dev/pools': value } },
    },
  });
  expect(addressesOf(await call('ADD', 'a', keys, inNamespace('default')))[0]).toMatch(/^10\.77\.0\./);
  expect(addressesOf(await call('ADD', 'b', keys, inNamespace('team')))[0]).toMatch(/^10\.77\.1\./);
  expect(addressesOf(await call('ADD', 'c', keys, inNamespace('data')))[0]).toMatch(/^10\.77\.3\./);
  const refused = await call('ADD', 'd', keys, annotated('edge'));
  expect(refused.error).toMatchObject({ code: 7 });
  expect(refused.error?.msg).toContain('pool edge: node n1 lacks the label zone=edge');
  const labels = { nodeLabels: { zone: 'edge' } };
  expect(addressesOf(await call('ADD', 'd', { ...keys, ...labels }, inNamespace('default')))[0]).toMatch(
    /^10\.77\./,
  );
});

test('a sticky pod keeps its address on another node, by its name', async () => {
  const keys = { sticky: true, pools: [pools[0]] };
  const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=1';
  const first = await call('ADD', 'a', keys, { args });
  const [address] = addressesOf(first);
  expect(address).toMatch(/^10\.77\./);
  expectDone(await call('DEL', 'a', keys));
  expect(await records('addresses')).toMatchObject([
    { address, key: 'cluster/default/web-0/eth0', node: 'n1' },
  ]);
  const elsewhere = { ...keys, nodeName: 'n2', dataDir: '/var/lib/podwire/n2' };
  expect(addressesOf(await call('ADD', 'b', elsewhere, { args }))).toEqual([address]);
  expect(await records('addresses')).toMatchObject([{ address, containerId: 'b', node: 'n2' }]);
  expect(addressesOf(await call('ADD', 'c', { pools: [pools[0]] }))).not.toEqual([address]);
});

test('a second network of the same pools has blocks of its own', async () => {
  const first = addressesOf(await call('ADD', 'a'));
  const config = { ...common, name: 'second', type: 'bridge', ipam };
  const second = addressesOf(await call('ADD', 'a', {}, { config }));
  expect(second).toHaveLength(2);
  expect(first.filter((address) => second.includes(address))).toEqual([]);
  expect((await records('blocks')).map(({ network }) => network).toSorted()).toEqual([
    'cluster',
    'cluster',
    'second',
    'second',
  ]);
});

test('STATUS tells of pools that are full, and of a datastore that cannot be read', async () => {
  const keys = { pools: [{ name: 'tiny', cidr: '10.77.0.0/30' }] };
  expectDone(await call('STATUS', '', keys));
  expectResult(await call('ADD', 'a', keys));
  const full = await call('STATUS', '', keys);
  expect(full.error).toMatchObject({ code: 50, msg: expect.stringContaining('no free IPv4 address') });
  const refused = await call('ADD', 'b', keys);
  expect(refused.error).toMatchObject({
    code: 102,
    details: expect.stringContaining('pool tiny 10.77.0.0/30'),
  });
  expectDone(await call('DEL', 'a', keys));
  expectDone(await call('STATUS', '', keys));
  await host.shell(
    'rm -r /var/lib/podwire/ipam; echo damaged >/var/lib/podwire/datastore/blocks/10-77-0-0-30.json',
  );
  expect((await call('STATUS', '', keys)).error).toMatchObject({ code: expect.toBeOneOf([11, 50]) });
});

test('GC frees what is not valid, returns blocks, and ends what was told to no datastore', async () => {
  const keys = {
    pools: [{ name: 'v4', cidr: '10.77.0.0/24', blockSize: 29 }],
    sticky: { holdSeconds: 0, key: 'k' },
  };
  const plain = { pools: keys.pools };
  for (const container of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k']) {
    expectResult(await call('ADD', container, plain));
  }
  expectResult(await call('ADD', 'z', keys));
  expect((await records('blocks')).length).toBeGreaterThanOrEqual(2);
  const config = {
    ...common,
    cniVersion: '1.1.0',
    type: 'bridge',
    ipam: { ...ipam, ...plain },
    'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }],
  };
  expectDone(await callPlugin(host, { binDir: podwireBin, plugin: 'cluster-ipam', command: 'GC', config }));
  expect((await records('blocks')).length).toBeLessThanOrEqual(2);
  expect(await records('addresses')).toEqual([]);
  const { stdout } = await host.attempt([
    '/bin/sh',
    '-c',
    'grep -l ^a /var/lib/podwire/ipam/cluster/10.*; ls /var/lib/podwire/ipam/cluster',
  ]);
  expect(stdout.split('\n').filter((line) => /^10\./.test(line))).toHaveLength(1);
});

test.for([
  {
    what: 'pools that overlap',
    keys: { pools: [{ cidr: '10.0.0.0/16' }, { cidr: '10.0.1.0/24' }] },
    word: 'overlaps',
  },
  { what: 'host bits', keys: { pools: [{ cidr: '10.0.0.1/16' }] }, word: 'host bits' },
  {
    what: 'a block larger than its pool',
    keys: { pools: [{ cidr: '10.0.0.0/24', blockSize: 20 }] },
    word: 'blockSize',
  },
  {
    what: 'an excluded range outside',
    keys: { pools: [{ cidr: '10.0.0.0/24', excluded: ['10.1.0.1'] }] },
    word: 'outside',
  },
  { what: 'an unknown datastore', keys: { datastore: { type: 'paper' } }, word: 'datastore.type' },
  {
    what: 'two pools of one name',
    keys: {
      pools: [
        { name: 'a', cidr: '10.0.0.0/24' },
        { name: 'a', cidr: '10.1.0.0/24' },
      ],
    },
    word: 'twice',
  },
  { what: 'a prefix of no kind', keys: { prefix: 'wide' }, word: 'prefix' },
])('$what: refused with the key, and DEL goes through all the same', async ({ keys, word }) => {
  const { error } = await call('ADD', 'a', keys);
  expect(error).toMatchObject({ code: 7 });
  expect(error?.msg).toContain(word);
  expectDone(await call('DEL', 'a', keys));
});
