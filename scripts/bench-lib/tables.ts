import type { Row, Samples } from './measure.ts';
import type { EtcdFigures } from './protocol.ts';
import { median, p95 } from './statistics.ts';
import type { Verdict } from './targets.ts';

/** The measurements as a Markdown table: medians, the wall times' 95th percentiles, ratios ours / other. */
export const resultTable = (rows: readonly Row[], other: string): string =>
  markdown(
    [
      'case',
      'call',
      'ours, ms (p95)',
      `${other}, ms (p95)`,
      'ratio',
      'CPU, ms',
      'CPU ratio',
      'peak, MB',
      'children',
    ],
    rows.map((row) => [
      row.step === '' ? row.about : `${row.about}: ${row.step}`,
      row.verb,
      wallText(row.ours),
      wallText(row.reference),
      ratioText(row, wall),
      pair(row, (samples) => median(samples.costs.map(cpu)).toFixed(1)),
      ratioText(row, cpu),
      pair(row, (samples) => samples.footprint?.peakMB.toFixed(1) ?? '–'),
      pair(row, (samples) => String(samples.footprint?.children ?? '–')),
    ]),
  );

/** What the first ADD took where a large state was there before: a plugin may have to build an index then. */
export const firstCalls = (rows: readonly Row[], other: string): string[] =>
  rows
    .filter((row) => row.verb === 'ADD' && row.scenario === 'host-local')
    .map((row) => {
      const theirs =
        row.reference?.first === undefined ? '' : `, ${other} ${row.reference.first.wallMs.toFixed(1)} ms`;
      return `The very first ADD, ${row.step}: ours ${row.ours.first?.wallMs.toFixed(1)} ms${theirs}.`;
    });

/** What cluster-ipam with etcd took, in sentences. */
export const etcdLines = ({ adds, writes, atHandMs, claimingMs, connectedMs }: EtcdFigures): string[] => [
  `cluster-ipam with etcd on this machine (TLS, blocks of 64): ${adds} ADDs made ${writes} writes.`,
  `An ADD that claims a block ${spread(claimingMs)}, one with a block at hand ${spread(atHandMs)}; ` +
    `the claim in a process that is connected ${spread(connectedMs)}.`,
];

const spread = (times: readonly number[]): string =>
  `${median(times).toFixed(1)} ms (p95 ${p95(times).toFixed(1)})`;

/** The targets as a Markdown table. */
export const targetTable = (verdicts: readonly Verdict[]): string =>
  markdown(
    ['target', 'to reach', 'measured', ''],
    verdicts.map(({ about, target, measured, met }) => [about, target, measured, met ? 'met' : '**missed**']),
  );

/** A Markdown table whose columns line up; the first is flush left, the others flush right. */
export const markdown = (head: readonly string[], body: readonly (readonly string[])[]): string => {
  const widths = head.map((title, column) =>
    Math.max(3, ...[title, ...body.map((row) => row[column] ?? '')].map(width)),
  );
  const line = (cells: readonly string[]) =>
    `| ${widths.map((size, column) => aligned(cells[column] ?? '', size, column === 0)).join(' | ')} |`;
  const rule = `|${widths.map((size, column) => (column === 0 ? `:${'-'.repeat(size + 1)}` : `${'-'.repeat(size + 1)}:`)).join('|')}|`;
  return [line(head), rule, ...body.map(line)].join('\n');
};

const wall = ({ wallMs }: { wallMs: number }): number => wallMs;
const cpu = ({ cpuMs }: { cpuMs: number }): number => cpuMs;

const wallText = (samples: Samples | undefined): string => {
  if (samples === undefined) return '–';
  const times = samples.costs.map(wall);
  return `${median(times).toFixed(1)} (${p95(times).toFixed(1)})`;
};

const ratioText = (row: Row, of: (cost: Samples['costs'][number]) => number): string => {
  if (row.reference === undefined) return '–';
  return (median(row.ours.costs.map(of)) / median(row.reference.costs.map(of))).toFixed(2);
};

const pair = (row: Row, text: (samples: Samples) => string): string =>
  row.reference === undefined ? text(row.ours) : `${text(row.ours)} / ${text(row.reference)}`;

const width = (text: string): number => Bun.stringWidth(text);

const aligned = (text: string, size: number, left: boolean): string => {
  const padding = ' '.repeat(Math.max(0, size - width(text)));
  return left ? text + padding : padding + text;
};
