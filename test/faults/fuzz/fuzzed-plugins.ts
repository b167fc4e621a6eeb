import fc from 'fast-check';
import type { Call } from '../../../shared/cni/plugin.ts';
import type { JsonObject } from '../../../shared/cni/types.ts';
import { planBandwidth, planFirewall, planPortmap, planSourceRouting, planTuning } from './chained-plans.ts';
import {
  planBridge,
  planClusterIpam,
  planHostLocal,
  planStatic,
  planVeth,
  planVxlan,
} from './plugin-plans.ts';

/** What the fuzzing needs of a plugin. A new plugin is one more row. */
export interface FuzzedPlugin {
  /** The name it is called by. */
  type: string;
  /** Configurations that ADD accepts. */
  valid: fc.Arbitrary<JsonObject>;
  /** The pure part of its ADD: parses the configuration and returns the batches that it plans, as text. */
  plan: (call: Call) => string[];
  /** It changes what another plugin has made: this interface of the pod, with `prevResult` in `valid`. */
  chainedTo?: string;
}

const flag = fc.constantFrom(true, false, undefined);
const version = fc.constantFrom('0.3.1', '0.4.0', '1.0.0', '1.1.0', '1.1.0', '1.1.0');
const names = fc.constantFrom('fuzz', 'a', 'net.work_1-x', 'n'.repeat(130));

const route = fc.constantFrom<JsonObject>(
  { dst: '0.0.0.0/0' },
  { dst: '::/0' },
  { dst: '192.0.2.0/24', gw: '10.80.0.1', mtu: 1400, priority: 7 },
  { dst: '2001:db8::/32', gw: 'fd80::1', advmss: 1200, table: 100 },
  { dst: '198.51.100.0/24', scope: 253 },
);

const range4 = fc.constantFrom<JsonObject>(
  { subnet: '10.80.0.0/16' },
  { subnet: '10.80.0.0/24', rangeStart: '10.80.0.10', rangeEnd: '10.80.0.99', gateway: '10.80.0.254' },
);
const range6 = fc.constantFrom<JsonObject>(
  { subnet: 'fd80::/64' },
  { subnet: 'fd80::/120', gateway: 'fd80::1' },
);

const hostLocal: fc.Arbitrary<JsonObject> = fc
  .record({
    four: fc.option(range4, { nil: undefined, freq: 5 }),
    six: fc.option(range6, { nil: undefined }),
    routes: fc.option(fc.uniqueArray(route, { maxLength: 3 }), { nil: undefined }),
    dataDir: fc.constantFrom(undefined, '/run/fuzz'),
  })
  .filter(({ four, six }) => four !== undefined || six !== undefined)
  .map(({ four, six, routes, dataDir }) =>
    defined({
      type: 'host-local',
      ranges: [four, six].flatMap((range) => (range ? [[range]] : [])),
      routes,
      dataDir,
    }),
  );

const staticIpam: fc.Arbitrary<JsonObject> = fc.constantFrom<JsonObject>(
  {
    type: 'static',
    addresses: [{ address: '10.80.7.5/16', gateway: '10.80.0.1' }],
    routes: [{ dst: '0.0.0.0/0' }],
  },
  {
    type: 'static',
    addresses: [{ address: '10.80.7.6/16' }, { address: 'fd80::7:6/64' }],
    dns: { nameservers: ['10.80.0.1'] },
  },
);

const pool4 = fc.constantFrom<JsonObject>(
  { name: 'four', cidr: '10.80.0.0/16' },
  { name: 'four', cidr: '10.80.0.0/24', blockSize: 28, excluded: ['10.80.0.16/29', '10.80.0.40-10.80.0.50'] },
  { cidr: '10.80.0.0/20', reserved: ['10.80.1.0/24'], gateway: '10.80.0.254' },
);
const pool6 = fc.constantFrom<JsonObject>(
  { name: 'six', cidr: 'fd80::/64' },
  { name: 'six', cidr: 'fd80::/112' },
);

const clusterIpam: fc.Arbitrary<JsonObject> = fc
  .record({
    four: pool4,
    six: fc.option(pool6, { nil: undefined }),
    routes: fc.option(fc.uniqueArray(route, { maxLength: 3 }), { nil: undefined }),
    prefix: fc.constantFrom(undefined, 'pool', 'block', 'host'),
    nodeName: fc.constantFrom(undefined, 'node-1'),
    sticky: fc.constantFrom<JsonObject | undefined>(undefined, undefined, { key: 'k', holdSeconds: 0 }),
    dataDir: fc.constant('/run/fuzz-cluster'),
    datastore: fc.constantFrom<JsonObject>(
      { type: 'file', directory: '/run/fuzz-store' },
      { directory: '/run/fuzz-store' },
    ),
  })
  .map(({ four, six, ...keys }) =>
    defined({ type: 'cluster-ipam', ...keys, pools: six === undefined ? [four] : [four, six] }),
  );

const ipam = fc.oneof({ weight: 3, arbitrary: hostLocal }, { weight: 1, arbitrary: staticIpam });

const common = {
  cniVersion: version,
  name: names,
  ipMasq: flag,
  ipMasqBackend: fc.constantFrom(undefined, undefined, 'nftables', 'iptables', ''),
  mtu: fc.constantFrom(undefined, 0, 1400, 9000),
  dns: fc.constantFrom<JsonObject | undefined>(undefined, {
    nameservers: ['192.0.2.53'],
    search: ['a.example'],
  }),
  args: fc.constantFrom<JsonObject | undefined>(undefined, undefined, { cni: { mac: '02:00:00:00:08:01' } }),
  runtimeConfig: fc.constantFrom<JsonObject | undefined>(undefined, undefined, {
    mac: '02:00:00:00:08:02',
    ips: [],
    ipRanges: [],
  }),
};

const bridge: fc.Arbitrary<JsonObject> = fc
  .record({
    ...common,
    type: fc.constant('bridge'),
    bridge: fc.constantFrom(undefined, 'fuzz0', 'fuzz0'),
    isGateway: flag,
    isDefaultGateway: flag,
    forceAddress: fc.constantFrom(true, true, false),
    hairpinMode: flag,
    macspoofchk: flag,
    portIsolation: fc.constantFrom(undefined, undefined, true),
    ipam: fc.option(ipam, { nil: undefined, freq: 8 }),
  })
  .map(defined);

const veth = (type: string): fc.Arbitrary<JsonObject> =>
  fc.record({ ...common, type: fc.constant(type), ipam }).map(defined);

const overlaySubnets = fc.constantFrom(['10.80.0.0/16'], ['fd80::/64'], ['10.80.0.0/16', 'fd80::/64']);

/** This node, by name, among others; none of them is ever reached. */
const overlayNodes = overlaySubnets.map((podCIDRs) => [
  { name: 'this', addresses: ['198.51.100.1'], podCIDRs },
  { name: 'other', addresses: ['198.51.100.2', '2001:db8::2'], podCIDRs: ['10.81.0.0/16', 'fd81::/64'] },
]);

const vxlan: fc.Arbitrary<JsonObject> = fc
  .record({
    ...common,
    type: fc.constant('vxlan'),
    mtu: fc.constantFrom(undefined, 0, 1300, 1400),
    vni: fc.constantFrom(undefined, 80, 16_777_215),
    port: fc.constantFrom(undefined, 4789),
    mode: fc.constantFrom(undefined, 'vxlan', 'direct', 'cross-subnet'),
    underlay: fc.constantFrom(undefined, 'under0', '198.51.100.1'),
    node: fc.constantFrom(undefined, 'this'),
    peers: fc.oneof(
      overlayNodes,
      overlayNodes.map((nodes) => ({ nodes })),
    ),
    attachment: fc.oneof(
      fc.constantFrom({}, { attach: 'veth' }),
      fc.record({
        attach: fc.constant('bridge'),
        bridge: fc.constantFrom('fuzz1', undefined),
        hairpinMode: flag,
        forceAddress: fc.constant(true),
      }),
    ),
    ipam: fc.oneof(ipam, fc.constant({ type: 'host-local' })),
  })
  .map(({ attachment, ...keys }) => defined({ ...keys, ...attachment }));

const ipamOnly = (choice: fc.Arbitrary<JsonObject>): fc.Arbitrary<JsonObject> =>
  fc.record({ cniVersion: version, name: names, type: fc.constant('bridge'), ipam: choice }).map(defined);

const chainedInterface = 'chain0';

/** The host's end of the interface that plugins are chained to. */
export const chainedHostEnd = 'veth7';

const chainedResult = {
  cniVersion: '1.0.0',
  interfaces: [{ name: chainedHostEnd }, { name: chainedInterface, sandbox: '/run/netns/pod' }],
  ips: [
    { address: '10.80.0.2/16', gateway: '10.80.0.1', interface: 1 },
    { address: 'fd80::2/64', interface: 1 },
  ],
};

function chained(type: string, keys: fc.Arbitrary<Record<string, unknown>>): fc.Arbitrary<JsonObject> {
  return fc
    .record({ cniVersion: fc.constantFrom('0.4.0', '1.0.0', '1.1.0'), name: names, keys })
    .map(({ keys: own, ...shared }) => defined({ ...shared, type, ...own, prevResult: chainedResult }));
}

const rate = fc.constantFrom(undefined, 8000, 1_000_000, 10_000_000_000);
const limits = { ingressRate: rate, egressRate: fc.constantFrom(undefined, 2_000_000) };
const subnets = fc.constantFrom(undefined, undefined, ['10.0.0.0/8'], ['10.0.0.0/8', 'fd00::/8']);
const bandwidthKeys = fc.oneof(
  fc.record({ ...limits, unshapedSubnets: subnets }),
  fc.record({ ...limits, shapedSubnets: subnets }),
  fc.record({
    runtimeConfig: fc.record({ bandwidth: fc.constant({ ingressRate: 800_000, ingressBurst: 80_000 }) }),
  }),
);

const firewallKeys = fc.record({
  backend: fc.constantFrom(undefined, 'nftables', 'iptables'),
  iptablesAdminChainName: fc.constantFrom(undefined, 'CNI-MINE'),
  ingressPolicy: fc.constantFrom(undefined, 'open', 'same-bridge', 'isolated'),
});

const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '127.0.0.1' },
  { hostPort: 8443, containerPort: 443, protocol: 'TCP', hostIP: '::' },
];
const portmapKeys = fc.oneof(
  fc.record({
    runtimeConfig: fc.subarray(portMappings).map((mappings) => ({ portMappings: mappings })),
    backend: fc.constantFrom(undefined, 'nftables', 'iptables'),
    snat: flag,
    masqAll: flag,
    markMasqBit: fc.constantFrom(undefined, 5),
  }),
  fc.record({
    runtimeConfig: fc.constant({ portMappings }),
    conditionsV4: fc.constantFrom(['!', '-s', '192.0.2.0/24'], ['ip', 'saddr', '!=', '192.0.2.0/24']),
  }),
);

const tuningKeys = fc.record({
  sysctl: fc.constantFrom(undefined, { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net/ipv4/ip_forward': '1' }),
  mac: fc.constantFrom(undefined, '02:00:00:00:08:03'),
  mtu: fc.constantFrom(undefined, 1300),
  promisc: flag,
  allmulti: flag,
  txQLen: fc.constantFrom(undefined, 500),
});

const sbrKeys = fc.record({
  table: fc.constantFrom(undefined, undefined, 200),
  gateways: fc.constantFrom(undefined, ['10.80.0.9']),
  addSourceHints: flag,
});

/** The plugins, each with a generator of configurations that work. */
export const fuzzedPlugins: readonly FuzzedPlugin[] = [
  { type: 'bridge', valid: bridge, plan: planBridge },
  { type: 'ptp', valid: veth('ptp'), plan: planVeth },
  { type: 'veth', valid: veth('veth'), plan: planVeth },
  { type: 'vxlan', valid: vxlan, plan: planVxlan },
  {
    type: 'loopback',
    valid: fc.record({ cniVersion: version, name: names, type: fc.constant('loopback') }),
    plan: () => [],
  },
  {
    type: 'host-local',
    valid: ipamOnly(hostLocal),
    plan: planHostLocal,
  },
  {
    type: 'cluster-ipam',
    valid: ipamOnly(clusterIpam),
    plan: planClusterIpam,
  },
  {
    type: 'bandwidth',
    valid: chained('bandwidth', bandwidthKeys),
    plan: planBandwidth,
    chainedTo: chainedInterface,
  },
  {
    type: 'firewall',
    valid: chained('firewall', firewallKeys),
    plan: planFirewall,
    chainedTo: chainedInterface,
  },
  { type: 'portmap', valid: chained('portmap', portmapKeys), plan: planPortmap, chainedTo: chainedInterface },
  { type: 'tuning', valid: chained('tuning', tuningKeys), plan: planTuning, chainedTo: chainedInterface },
  { type: 'sbr', valid: chained('sbr', sbrKeys), plan: planSourceRouting, chainedTo: chainedInterface },
  { type: 'static', valid: ipamOnly(staticIpam), plan: planStatic },
];

function defined(json: Record<string, unknown>): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined)) as JsonObject;
}
