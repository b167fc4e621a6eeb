import type { JsonObject } from '../../shared/cni/types.ts';

export type Verb = 'ADD' | 'CHECK' | 'DEL' | 'STATUS';

/** One thing measured in a scenario; the steps of a scenario run in order, on the state the former left. */
export interface Step {
  /** What distinguishes this step's rows: `first pod`, `500 pods on the node`. */
  label: string;
  /** `cycle`: the verbs one after the other for one pod; `churn`: all pods at once, ADD, then DEL. */
  kind: 'cycle' | 'churn';
  verbs: readonly Verb[];
  /** Pods to add before measuring, which stay. */
  residents?: number;
  /** Addresses to reserve on disk before measuring, as that many ADDs would have left them. */
  reservations?: number;
  /**
   * Addresses of cluster-ipam's pool to have in use before measuring: on this node in the one block that the pool is,
   * or in blocks of 64 of other nodes, of which this one only knows that they are claimed.
   */
  poolInUse?: { addresses: number; where: 'here' | 'elsewhere' };
  /** Rounds to measure when `--runs` is the default; the others scale. */
  rounds: number;
  /** The reference's rounds, where it is too slow for as many. */
  referenceRounds?: number;
}

export type Chain = readonly (JsonObject & { type: string })[];

export interface Scenario {
  name: string;
  about: string;
  /** The configurations of a network's plugins, one after the other as in a conflist. */
  plugins: Chain;
  /** Ours, where they do the same work with other configurations. */
  ourPlugins?: Chain;
  /** The other side are plugins of ours as well, those in `plugins`. */
  againstOurs?: boolean;
  /** Lines for `ip -batch` that give each side's host what it has of itself. */
  host?: readonly string[];
  /** On our side one pod comes and goes with these before anything is measured, for what stays of it. */
  ourBefore?: Chain;
  /** Network namespaces to have. */
  pods: number;
  /** Calls in flight at once in a churn. */
  parallel: number;
  /** The reference has no such call: only our side runs. */
  oursOnly?: boolean;
  steps: readonly Step[];
}

/** `--runs` unless given, and what the steps' rounds are relative to. */
export const defaultRuns = 40;

/** The network's name, which is a directory of host-local's. */
export const networkName = 'bench';

/** The first two bytes of every IPv4 address here. */
export const ipv4Prefix = '10.88';

const ipv4Subnet = `${ipv4Prefix}.0.0/16`;

const all = ['ADD', 'CHECK', 'DEL'] as const;
const ipv4 = { type: 'host-local', ranges: [[{ subnet: ipv4Subnet }]], routes: [{ dst: '0.0.0.0/0' }] };
const dual = {
  type: 'host-local',
  ranges: [[{ subnet: ipv4Subnet }], [{ subnet: 'fd00:88::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const bridge = { type: 'bridge', bridge: 'bench0', isGateway: true };

const onePod = (name: string, about: string, ...plugins: Chain): Scenario => ({
  name,
  about,
  plugins: inNetwork(plugins),
  pods: 1,
  parallel: 1,
  steps: [{ label: '', kind: 'cycle', verbs: all, rounds: defaultRuns }],
});

const inNetwork = (plugins: Chain): Chain =>
  plugins.map((config) => ({ cniVersion: '1.0.0', name: networkName, ...config }));

const density = onePod('density', 'bridge with ipMasq, few and many pods', {
  ...bridge,
  ipMasq: true,
  ipam: ipv4,
});
const hostLocal = onePod('host-local', 'host-local called directly', {
  ...bridge,
  type: 'host-local',
  ipam: ipv4,
});
const status = onePod('status', 'bridge + host-local', {
  cniVersion: '1.1.0',
  ...bridge,
  ipMasq: true,
  ipam: ipv4,
});

// What kubelet's usual conflist holds, as a chain and as one plugin.
const portMappings = [
  { hostPort: 20_000, containerPort: 80, protocol: 'tcp' },
  { hostPort: 20_000, containerPort: 53, protocol: 'udp' },
];
const bandwidth = { ingressRate: 1e9, ingressBurst: 1e8, egressRate: 1e9, egressBurst: 1e8 };
const masquerading = { ...bridge, ipMasq: true, ipam: ipv4 };
const kubeletChain: Chain = [
  masquerading,
  { type: 'portmap', runtimeConfig: { portMappings } },
  { type: 'bandwidth', runtimeConfig: { bandwidth } },
  { type: 'firewall' },
];
const oneProcess: Chain = [
  { ...masquerading, runtimeConfig: { portMappings, bandwidth }, portmap: {}, bandwidth: {}, firewall: {} },
];

const chain = onePod('chain', 'bridge with ipMasq, portmap, bandwidth, firewall', ...kubeletChain);

/** A plugin's configuration for the n-th pod: each publishes ports of its own. */
export const configOf = (plugin: Chain[number], pod: number): JsonObject => {
  const { portMappings: mappings, ...rest } = (plugin.runtimeConfig ?? {}) as {
    portMappings?: { hostPort: number }[];
  };
  if (mappings === undefined) return plugin;
  const own = mappings.map((mapping) => ({ ...mapping, hostPort: mapping.hostPort + pod }));
  return { ...plugin, runtimeConfig: { ...rest, portMappings: own } };
};

// An overlay of 100 nodes, and a network by which it would reach them.
const overlayPod = { ipam: ipv4 };
const overlayNodes = Array.from({ length: 100 }, (_, index) => ({
  name: `node${index}`,
  addresses: [`198.51.100.${index + 1}`],
  podCIDRs: [index === 0 ? ipv4Subnet : `10.89.${index}.0/24`],
}));
const underlay = [
  'link add under0 up type veth peer name under1',
  'link set under1 up',
  'address add 198.51.100.1/24 dev under0',
];

/** Where cluster-ipam keeps what it does by default below /var/lib/podwire: here on the disk that host-local is on. */
export const clusterIpam = {
  dataDir: '/var/lib/cni/podwire-ipam',
  datastore: '/var/lib/cni/podwire-datastore',
  node: 'bench-node',
  pool: 'bench',
};
const clusterIpamConfig = {
  type: 'cluster-ipam',
  nodeName: clusterIpam.node,
  dataDir: clusterIpam.dataDir,
  datastore: { type: 'file', directory: clusterIpam.datastore },
  pools: [{ name: clusterIpam.pool, cidr: ipv4Subnet }],
  routes: [{ dst: '0.0.0.0/0' }],
};

/** Every scenario, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  onePod('l2', 'bridge + host-local, no NAT', { ...bridge, ipam: ipv4 }),
  onePod('masq', 'bridge with ipMasq', { ...bridge, ipMasq: true, ipam: ipv4 }),
  onePod('dual-masq', 'bridge, dual stack with ipMasq', { ...bridge, ipMasq: true, ipam: dual }),
  {
    ...onePod('churn', '100 pods, 16 at a time, bridge with ipMasq', { ...bridge, ipMasq: true, ipam: ipv4 }),
    pods: 100,
    parallel: 16,
    steps: [{ label: '', kind: 'churn', verbs: ['ADD', 'DEL'], rounds: 8 }],
  },
  {
    ...density,
    pods: 501,
    parallel: 8,
    steps: [
      { label: 'first pod', kind: 'cycle', verbs: all, rounds: defaultRuns },
      {
        label: 'with 500 pods',
        kind: 'cycle',
        verbs: all,
        residents: 500,
        rounds: defaultRuns,
        referenceRounds: 20,
      },
    ],
  },
  {
    ...hostLocal,
    steps: [
      { label: 'empty range', kind: 'cycle', verbs: ['ADD', 'DEL'], rounds: defaultRuns },
      {
        label: '60,000 in use',
        kind: 'cycle',
        verbs: ['ADD', 'DEL'],
        reservations: 60_000,
        rounds: defaultRuns,
        referenceRounds: 5,
      },
    ],
  },
  {
    ...onePod('ipam', 'cluster-ipam called directly, against our host-local', {
      ...bridge,
      type: 'host-local',
      ipam: ipv4,
    }),
    ourPlugins: inNetwork([{ ...bridge, type: 'cluster-ipam', ipam: clusterIpamConfig }]),
    againstOurs: true,
    steps: [
      { label: 'block at hand', kind: 'cycle', verbs: ['ADD', 'DEL'], rounds: 2 * defaultRuns },
      {
        label: '60,000 in use on other nodes',
        kind: 'cycle',
        verbs: ['ADD', 'DEL'],
        poolInUse: { addresses: 60_000, where: 'elsewhere' },
        rounds: defaultRuns,
      },
    ],
  },
  {
    ...onePod('ipam-full', 'cluster-ipam called directly, a block of 65,536', {
      ...bridge,
      type: 'cluster-ipam',
      ipam: { ...clusterIpamConfig, pools: [{ name: clusterIpam.pool, cidr: ipv4Subnet, blockSize: 16 }] },
    }),
    oursOnly: true,
    steps: [
      { label: 'empty pool', kind: 'cycle', verbs: ['ADD', 'DEL'], rounds: defaultRuns },
      {
        label: '60,000 in use on this node',
        kind: 'cycle',
        verbs: ['ADD', 'DEL'],
        poolInUse: { addresses: 60_000, where: 'here' },
        rounds: defaultRuns,
      },
    ],
  },
  {
    ...status,
    oursOnly: true,
    steps: [{ label: '', kind: 'cycle', verbs: ['STATUS'], rounds: defaultRuns }],
  },
  {
    ...chain,
    pods: 251,
    parallel: 8,
    steps: [
      { label: 'first pod', kind: 'cycle', verbs: all, rounds: defaultRuns },
      {
        label: 'with 250 pods',
        kind: 'cycle',
        verbs: all,
        residents: 250,
        rounds: defaultRuns,
        referenceRounds: 20,
      },
    ],
  },
  {
    ...chain,
    name: 'one-process',
    about: 'the same in one process, reference as a chain',
    ourPlugins: inNetwork(oneProcess),
  },
  onePod('ptp', 'ptp, no NAT', { type: 'ptp', ipam: ipv4 }),
  onePod('ptp-masq', 'ptp with ipMasq', { type: 'ptp', ipMasq: true, ipam: ipv4 }),
  {
    ...onePod('vxlan', 'vxlan where an agent keeps the overlay, against our ptp', {
      type: 'ptp',
      ...overlayPod,
    }),
    ourPlugins: inNetwork([{ type: 'vxlan', peers: 'agent', ...overlayPod }]),
    ourBefore: inNetwork([{ type: 'vxlan', peers: overlayNodes, ...overlayPod }]),
    againstOurs: true,
    host: underlay,
  },
  {
    ...onePod('vxlan-peers', 'vxlan with a list of 100 nodes, against our ptp', {
      type: 'ptp',
      ...overlayPod,
    }),
    ourPlugins: inNetwork([{ type: 'vxlan', peers: overlayNodes, ...overlayPod }]),
    againstOurs: true,
    host: underlay,
  },
  onePod('loopback', 'loopback', { type: 'loopback' }),
];
