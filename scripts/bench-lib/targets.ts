import type { Row, Samples } from './measure.ts';
import type { EtcdFigures } from './protocol.ts';
import type { Verb } from './scenarios.ts';
import { median } from './statistics.ts';

/** A promise about speed or size, and what came of it. */
export interface Verdict {
  about: string;
  target: string;
  measured: string;
  met: boolean;
}

/** Judges the rows by the project's targets; those whose rows were not measured are left out. */
export const judge = (rows: readonly Row[], etcd?: EtcdFigures): Verdict[] => {
  const find = (scenario: string, step: string, verb: Verb) =>
    rows.find((row) => row.scenario === scenario && row.step === step && row.verb === verb);
  const against = againstReference.map(([about, scenario, verb, limit, step = '']) => {
    const row = find(scenario, step, verb);
    return ratioVerdict(about, row?.ours, row?.reference, limit);
  });
  const grown = againstItself.map(([about, scenario, before, after, limit]) =>
    ratioVerdict(about, find(scenario, after, 'ADD')?.ours, find(scenario, before, 'ADD')?.ours, limit),
  );
  return [
    ...against,
    ...grown,
    ...ipamVerdicts(find('ipam', 'block at hand', 'ADD'), etcd),
    statusVerdict(find('status', '', 'STATUS')),
    ...footprintVerdicts(rows),
  ].filter((verdict) => verdict !== undefined);
};

const againstReference: readonly (readonly [string, string, Verb, number, string?])[] = [
  ['bridge + host-local, no NAT, ADD', 'l2', 'ADD', 1.2],
  ['with ipMasq, ADD', 'masq', 'ADD', 0.7],
  ['dual stack with ipMasq, ADD', 'dual-masq', 'ADD', 0.5],
  ['with ipMasq, DEL', 'masq', 'DEL', 0.4],
  ['100 pods, 16 at a time, ipMasq, ADD', 'churn', 'ADD', 0.6],
  ['100 pods, 16 at a time, ipMasq, DEL', 'churn', 'DEL', 0.6],
  ['CHECK, no NAT', 'l2', 'CHECK', 1],
  ['CHECK, with ipMasq', 'masq', 'CHECK', 1],
  ['CHECK, dual stack with ipMasq', 'dual-masq', 'CHECK', 1],
  ['chain of four plugins, ADD', 'chain', 'ADD', 0.5, 'first pod'],
  ['chain of four plugins, DEL', 'chain', 'DEL', 0.35, 'first pod'],
  ['chain of four plugins, CHECK', 'chain', 'CHECK', 0.8, 'first pod'],
  ['the chain in one process, ADD', 'one-process', 'ADD', 0.25],
  ['the chain in one process, DEL', 'one-process', 'DEL', 0.2],
  ['vxlan ADD / our ptp ADD', 'vxlan', 'ADD', 1.1],
];

const againstItself: readonly (readonly [string, string, string, string, number])[] = [
  ['ADD with 500 pods on the node / the first', 'density', 'first pod', 'with 500 pods', 1.3],
  ['chain, ADD with 250 such pods / the first', 'chain', 'first pod', 'with 250 pods', 1.3],
  ['host-local ADD with 60,000 in use / none', 'host-local', 'empty range', '60,000 in use', 1.3],
  [
    'cluster-ipam ADD, 60,000 of the pool in use elsewhere / none',
    'ipam',
    'block at hand',
    '60,000 in use on other nodes',
    1.3,
  ],
  [
    'cluster-ipam ADD, 60,000 in use in one block of this node / none',
    'ipam-full',
    'empty pool',
    '60,000 in use on this node',
    1.3,
  ],
];

const statusLimitMs = 12;
const childrenLimit = 3;

/** Cases with more than a network plugin's work: several processes, or a `tc` besides. */
const shapes = new Set(['chain', 'one-process']);
const memoryLimitMB = 30;

const ratioVerdict = (
  about: string,
  samples: Samples | undefined,
  base: Samples | undefined,
  limit: number,
): Verdict | undefined => {
  if (samples === undefined || base === undefined) return undefined;
  const ratio = wallMedian(samples) / wallMedian(base);
  return {
    about,
    target: `≤ ${limit < 1 && (limit * 10) % 1 !== 0 ? limit.toFixed(2) : limit.toFixed(1)}`,
    measured: ratio.toFixed(2),
    met: ratio <= limit,
  };
};

const statusVerdict = (row: Row | undefined): Verdict | undefined => {
  if (row === undefined) return undefined;
  const ms = wallMedian(row.ours);
  return {
    about: 'STATUS',
    target: `≤ ${statusLimitMs} ms`,
    measured: `${ms.toFixed(1)} ms`,
    met: ms <= statusLimitMs,
  };
};

const ipamVerdicts = (row: Row | undefined, etcd: EtcdFigures | undefined): (Verdict | undefined)[] => {
  const more = row?.reference && wallMedian(row.ours) - wallMedian(row.reference);
  const limited = (about: string, value: number, limit: number, unit: string): Verdict => ({
    about,
    target: `≤ ${limit}${unit}`,
    measured: `${value.toFixed(1)}${unit}`,
    met: value <= limit,
  });
  return [
    more === undefined
      ? undefined
      : limited('cluster-ipam ADD with a block at hand, more than our host-local', more, 1, ' ms'),
    ...(etcd === undefined
      ? []
      : [
          limited('remote writes per 1,000 ADDs, blocks of 64', (etcd.writes * 1000) / etcd.adds, 20, ''),
          limited(
            'claiming a block from etcd, in a process that is connected',
            median(etcd.connectedMs),
            15,
            ' ms',
          ),
        ]),
  ];
};

const footprintVerdicts = (rows: readonly Row[]): (Verdict | undefined)[] => {
  const children = rows.flatMap((row) =>
    row.verb === 'ADD' && !shapes.has(row.scenario) ? (row.ours.footprint?.children ?? []) : [],
  );
  const memory = rows.flatMap((row) => row.ours.footprint?.peakMB ?? []);
  return [
    largestVerdict('child processes per ADD, at most', children, childrenLimit, (value) => String(value)),
    largestVerdict('peak memory, at most', memory, memoryLimitMB, (value) => `${value.toFixed(1)} MB`),
  ];
};

const largestVerdict = (
  about: string,
  values: readonly number[],
  limit: number,
  format: (value: number) => string,
): Verdict | undefined => {
  if (values.length === 0) return undefined;
  const largest = Math.max(...values);
  return { about, target: `≤ ${limit}`, measured: format(largest), met: largest <= limit };
};

const wallMedian = (samples: Samples): number => median(samples.costs.map(({ wallMs }) => wallMs));
