import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { breakTool, brokenEnv } from '../faults/broken-tools.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { callPlugin, expectDone, type PrintedResult } from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { connectOutside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, keptPortmapChains, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { throughput } from '../support/throughput.ts';
import { ping, startServer, whoSees } from '../support/traffic.ts';

const networks = ['bridge', 'ptp'] as const;
const families = ['IPv4', 'dual stack'] as const;
const backends = ['nftables', 'iptables'] as const;
const cases = networks.flatMap((type) =>
  families.flatMap((stack) => backends.map((backend) => ({ type, stack, backend }))),
);
type Case = (typeof cases)[number];

const runtimeConfig = {
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
    { hostPort: 8053, containerPort: 53, protocol: 'udp' },
  ],
  bandwidth: { ingressRate: 50_000_000, ingressBurst: 8_000_000, egressRate: 20_000_000 },
};
const capabilities = { portMappings: true, bandwidth: true };

// What stays for other pods: frames of tables and chains without what is a pod's, and what a bridge's pods share.
const kept = [
  ...keptBridge('cni0'),
  ...keptPortmapChains,
  /^nft (table|set|map|chain|rule) inet podwire_firewall( |$)/,
  /^nft element inet podwire_firewall .*"comment":"shared"/,
  /^ip6?tables-\S+ filter .*CNI-(FORWARD|ADMIN|ISOLATION)/,
  /^nft (chain|rule) ip6? filter (CNI-|FORWARD)/,
];

const networkPlugin = ({ type, stack, backend }: Case) => ({
  type,
  isGateway: true,
  ipMasq: true,
  ipMasqBackend: backend,
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '10.66.0.0/24' }], ...(stack === 'IPv4' ? [] : [[{ subnet: 'fd66::/64' }]])],
    routes: [{ dst: '0.0.0.0/0' }, ...(stack === 'IPv4' ? [] : [{ dst: '::/0' }])],
  },
});

const chainOf = (which: Case): ChainCall['conflist']['plugins'] => [
  networkPlugin(which),
  { type: 'portmap', capabilities, ...{ backend: which.backend } },
  { type: 'bandwidth', capabilities },
  { type: 'firewall', ...firewallOf(which) },
];

const oneProcessOf = (which: Case, keys: object = {}): ChainCall['conflist']['plugins'] => [
  {
    ...networkPlugin(which),
    capabilities,
    ...{ portmap: { backend: which.backend }, bandwidth: {}, firewall: firewallOf(which) },
    ...keys,
  },
];

const firewallOf = ({ backend }: Case) => ({ backend, ingressPolicy: 'same-bridge' });

const forms = { chain: chainOf, 'one process': oneProcessOf };
type Form = keyof typeof forms;

const callOf = (which: Case, form: Form, pod: ChainCall['netns'], containerId = 'pod-1'): ChainCall => ({
  conflist: { cniVersion: '1.0.0', name: 'composed', plugins: forms[form](which) },
  binDirs: [podwireBin],
  containerId,
  netns: pod,
  runtimeConfig,
});

/** Random MACs apart; of our own files, only where they are: they tell when and how it was made. */
const comparable = (lines: string[]): string[] =>
  lines
    .map((line) =>
      line
        .replace(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'MAC')
        .replace(/^(file (\/run|\S+\/\.podwire)\/\S+) .*/, '$1'),
    )
    .toSorted();

const withoutMacs = (result: PrintedResult): unknown =>
  JSON.parse(JSON.stringify(result).replace(/"mac":"[^"]*"/g, '"mac":"MAC"'));

describe('the chain in one process', () => {
  const hosts: TestHost[] = [];
  beforeEach((context) => {
    requireTool(context, 'tc', 'nft', 'iptables');
    requireKernel(context, 'ifb', 'nftables', 'iptables (nft)');
    expectPlugins(podwireBin, 'ptp', 'bridge', 'bandwidth', 'portmap', 'firewall');
  });
  afterEach(async () => {
    for (const host of hosts.splice(0)) await host.dispose();
  });

  const newHost = async (): Promise<TestHost> => {
    const host = await createHost({ name: 'composed' });
    hosts.push(host);
    return host;
  };

  const other: Record<Form, Form> = { chain: 'one process', 'one process': 'chain' };

  test.for(cases)('leaves what the chain leaves: $type, $stack, $backend', async (which) => {
    const states: string[][] = [];
    const results: unknown[] = [];
    for (const form of ['chain', 'one process'] as const) {
      const host = await newHost();
      const pod = await host.addPod('pod');
      const before = await snapshot(host);
      const call = callOf(which, form, pod);
      const result = await addChain(host, call);
      states.push(comparable(await snapshot(host)));
      results.push(withoutMacs(result));
      await checkChain(host, call, result);
      await checkChain(host, callOf(which, other[form], pod), result);
      // Either form takes away what the other made.
      await delChain(host, callOf(which, other[form], pod), result);
      expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);
    }
    expect(results[1]).toEqual(results[0]);
    expect(states[1]).toEqual(states[0]);
  });

  test.for(cases)('goes completely: $type, $stack, $backend', async (which) => {
    const host = await newHost();
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const call = callOf(which, 'one process', pod);
    const removals: Record<string, (result: PrintedResult) => Promise<void>> = {
      DEL: (result) => delChain(host, call, result),
      'DEL without netns, prevResult and runtimeConfig': () =>
        delChain(host, { ...call, netns: '', runtimeConfig: {} }),
      GC: async () => {
        const config = { cniVersion: '1.1.0', name: 'composed', ...call.conflist.plugins[0] };
        expectDone(
          await callPlugin(host, {
            binDir: podwireBin,
            plugin: which.type,
            command: 'GC',
            config: { ...config, 'cni.dev/valid-attachments': [] },
          }),
        );
      },
    };
    for (const [what, remove] of Object.entries(removals)) {
      await remove(await addChain(host, call));
      expect(leftovers(before, await snapshot(host), kept), what).toEqual(nothing);
    }
  });

  const nft: Case = { type: 'bridge', stack: 'dual stack', backend: 'nftables' };
  const failures = [
    {
      what: 'a port that is taken',
      keys: {},
      arrange: async (host: TestHost) => {
        const holder = await host.addPod('holder');
        await addChain(host, callOf(nft, 'one process', holder, 'holder-1'));
      },
      code: 103,
      words: 'holder-1',
    },
    {
      what: 'a condition that nft refuses',
      keys: { portmap: { conditionsV4: ['no', 'such', 'match'] } },
      code: 100,
      words: 'portmap',
    },
    {
      what: 'a tc that fails',
      keys: {},
      arrange: (host: TestHost) => breakTool(host, 'tc', '*', 'exit 1'),
      code: 100,
      words: 'bandwidth',
    },
    {
      what: 'an nft that fails',
      keys: {},
      arrange: (host: TestHost) => breakTool(host, 'nft', '*', 'echo refused >&2; exit 1'),
      code: 100,
      words: 'ipMasq',
    },
    { what: 'a key that is wrong', keys: { portmap: { snat: 1 } }, code: 7, words: 'portmap.snat' },
    {
      what: 'a policy that is wrong',
      keys: { firewall: { ingressPolicy: 'x' } },
      code: 2,
      words: 'firewall.',
    },
    {
      what: 'a rate that is wrong',
      keys: { bandwidth: { egressRate: -1 } },
      code: 7,
      words: 'bandwidth.egressRate',
    },
  ];
  test.for(networks.flatMap((type) => failures.map((failure) => ({ type, ...failure }))))(
    '$what leaves nothing: $type',
    async ({ type, keys, arrange, code, words }) => {
      const host = await newHost();
      const pod = await host.addPod('pod');
      await arrange?.(host);
      const before = await snapshot(host);
      const [plugin] = oneProcessOf({ ...nft, type }, keys);
      const { error } = await callPlugin(host, {
        binDir: podwireBin,
        plugin: type,
        command: 'ADD',
        containerId: 'pod-1',
        netns: pod,
        config: { cniVersion: '1.1.0', name: 'composed', runtimeConfig, ...plugin },
        env: brokenEnv,
      });
      expect(error?.msg).toContain(words);
      expect(error?.code).toBe(code);
      expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);
    },
  );

  test.for(networks)('traffic: published, bounded, kept apart: %s', async (type, context) => {
    requireTool(context, 'iperf3', 'busybox');
    const host = await newHost();
    const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64'], {
      defaultRoute: true,
    });
    const [pod, neighbour] = [await host.addPod('pod'), await host.addPod('neighbour')];
    const { ips = [] } = await addChain(host, callOf({ ...nft, type }, 'one process', pod));
    const elsewhere = callOf({ ...nft, type }, 'one process', neighbour, 'neighbour-1');
    const [plugin] = elsewhere.conflist.plugins;
    const ipam = { type: 'host-local', subnet: '10.67.0.0/24', routes: [{ dst: '0.0.0.0/0' }] };
    elsewhere.conflist = {
      ...elsewhere.conflist,
      name: 'elsewhere',
      plugins: [{ type, ...plugin, ...{ bridge: 'cni1', ipam } }],
    };
    elsewhere.runtimeConfig = {};
    await addChain(host, elsewhere);
    await startServer(pod, 80);
    const [host4 = '', host6 = ''] = outside.hostAddresses;
    expect(await whoSees(outside.place, host4, 8080)).toBe(outside.addresses[0]);
    expect(await whoSees(outside.place, host6, 8080)).toBe(outside.addresses[1]);
    const address = ips[0]?.address.replace(/\/.*/, '') ?? '';
    expect(await ping(outside.place, address)).toBe(true);
    expect(await ping(neighbour, address)).toBe(false);
    const speed = await throughput(outside.place, pod, { address, seconds: 2 });
    expect(speed).toBeLessThan(1.5 * 50_000_000);
  });
});
