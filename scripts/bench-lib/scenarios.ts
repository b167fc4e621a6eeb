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
  /** Rounds to measure when `--runs` is the default; the others scale. */
  rounds: number;
  /** The reference's rounds, where it is too slow for as many. */
  referenceRounds?: number;
}

export interface Scenario {
  name: string;
  about: string;
  /** The plugin a runtime would execute. */
  type: string;
  config: JsonObject;
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

const onePod = (name: string, about: string, config: JsonObject & { type: string }): Scenario => ({
  name,
  about,
  type: config.type,
  config: { cniVersion: '1.0.0', name: networkName, ...config },
  pods: 1,
  parallel: 1,
  steps: [{ label: '', kind: 'cycle', verbs: all, rounds: defaultRuns }],
});

const density = onePod('density', 'bridge with ipMasq, few and many pods', {
  ...bridge,
  ipMasq: true,
  ipam: ipv4,
});
const hostLocal = onePod('host-local', 'host-local called directly', { ...bridge, ipam: ipv4 });
const status = onePod('status', 'bridge + host-local', { ...bridge, ipMasq: true, ipam: ipv4 });

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
    type: 'host-local',
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
    ...status,
    config: { ...status.config, cniVersion: '1.1.0' },
    oursOnly: true,
    steps: [{ label: '', kind: 'cycle', verbs: ['STATUS'], rounds: defaultRuns }],
  },
  onePod('ptp', 'ptp, no NAT', { type: 'ptp', ipam: ipv4 }),
  onePod('ptp-masq', 'ptp with ipMasq', { type: 'ptp', ipMasq: true, ipam: ipv4 }),
  onePod('loopback', 'loopback', { type: 'loopback' }),
];
