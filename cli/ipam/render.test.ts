import { describe, expect, test } from 'vitest';
import { plainStyle, type Style } from '../terminal.ts';
import type { PodAccount, PoolAccount } from './accounts.ts';
import { barStyle } from './bar.ts';
import { renderCheck } from './check.ts';
import { duration, renderNodes, renderPods, renderPools, type Surroundings } from './render.ts';
import { ipam, kernelView, localView, remoteView } from './sample.ts';

const coloured: Style = {
  ...plainStyle,
  red: (text) => `\u001b[31m${text}\u001b[39m`,
  green: (text) => `\u001b[32m${text}\u001b[39m`,
};
const within = (columns: number, style: Style = plainStyle): Surroundings => ({
  columns,
  style,
  bar: barStyle({} as NodeJS.ProcessEnv),
});
const pool = (more: Partial<PoolAccount>): PoolAccount => ({
  pool: 'all',
  cidr: '10.1.0.0/24',
  disabled: false,
  claimed: 0,
  blocks: 4,
  nodes: 0,
  fixed: 0,
  kept: 0,
  ...more,
});

describe('pools', () => {
  const pools = [
    pool({ claimed: 2, nodes: 1, fixed: 3, kept: 1 }),
    pool({ pool: 'b', cidr: '10.2.0.0/24', claimed: 4, nodes: 2, disabled: true }),
  ];

  test('as bars', () => {
    expect(renderPools(pools, [], within(100))).toBe(
      [
        '  pools  all           10.1.0.0/24  ███████▌░░░░░░░   50 %  2 of 4 blocks  1 node   3 fixed (1 kept)',
        '         b (disabled)  10.2.0.0/24  ███████████████  100 %  4 of 4 blocks  2 nodes  0 fixed',
        '',
      ].join('\n'),
    );
  });

  test.for([
    [200, 40, true],
    [95, 10, true],
    [94, 27, false],
    [80, 13, false],
    [77, 10, false],
  ] as const)('in %d columns a bar of %d', ([columns, length, hasFixed]) => {
    const lines = renderPools(pools, [], within(columns)).split('\n');
    expect(lines[1]).toContain(` ${'█'.repeat(length)} `);
    expect(lines[0]?.includes('fixed')).toBe(hasFixed);
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
  });

  test('on a narrow terminal there is no bar', () => {
    expect(renderPools(pools, [], within(40))).not.toMatch(/[█░]/);
  });

  test('colours take no room, and full is red', () => {
    const text = renderPools(pools, [], within(120, coloured));
    expect(Bun.stripANSI(text)).toBe(renderPools(pools, [], within(120)));
    expect(text).toContain('\u001b[31m█');
    expect(text).toContain('\u001b[32m█');
  });

  test('where the datastore was not reached, the pools alone; and why one is left out', () => {
    const unknown = pool({ claimed: null, nodes: null, fixed: null, kept: null });
    expect(renderPools([unknown], [{ pool: 'x', reason: 'it overlaps' }], within(80))).toMatch(
      /pools {5}all {2}10\.1\.0\.0\/24 +– {2}of 4 blocks\n {2}left out {2}x {2}it overlaps\n/,
    );
    expect(renderPools([], [], within(80))).toContain('there are no pools');
  });

  test('more blocks than anybody reads are a power of two', () => {
    expect(renderPools([pool({ blocks: 2 ** 58, claimed: 1 })], [], within(100))).toContain(
      '1 of 2^58 blocks',
    );
  });
});

test('nodes: this one with a bar for each block, others with their blocks', () => {
  const use = { cidr: '10.1.0.0/26', pool: 'all', size: 60, free: 30, held: 31 };
  const nodes = [
    { node: 'n1', network: 'pods', pool: 'all', cidrs: [use.cidr], size: 60, free: 30, blocks: [use] },
    { node: 'n2', network: 'pods', pool: 'all', cidrs: ['a', 'b', 'c', 'd', 'e'], missingSince: 'T' },
  ];
  const text = renderNodes(nodes, within(100));
  expect(text).toMatch(/n1 {2}pods {2}all {2}10\.1\.0\.0\/26 {2}█+░+ +50 % {2}30 of 60 in use {2}1 fixed\n/);
  expect(text).toMatch(/n2 {2}pods {2}all {2}5 blocks {2}a b c … {2}gone since T\n/);
});

test('pods: what an address is, and how long it is kept', () => {
  const base: PodAccount = {
    ...{ address: '10.1.0.1', node: 'n1', pool: 'all', containerId: 'c', ifname: 'eth0' },
    ...{ pod: 'x/a', kind: 'dynamic' },
  };
  const id = 'ab12'.repeat(16);
  const pods: PodAccount[] = [
    base,
    { ...base, kind: 'fixed', pod: '', containerId: id },
    { ...base, kind: 'sticky', key: 'k', holdSeconds: 86_400 },
    { ...base, kind: 'sticky', key: 'k', containerId: '', ifname: '', pod: '', keptUntil: 'T' },
    { ...base, isStale: true },
  ];
  const lines = renderPods(pods, within(80)).trimEnd().split('\n');
  expect(lines.map((line) => line.replace(/^.*n1 +/, '').replace(/ {2,}/g, ' '))).toEqual([
    'x/a eth0',
    `${id.slice(0, 12)} eth0 fixed`,
    'x/a eth0 sticky for k, held for 24 h',
    '– kept for k until T',
    'x/a eth0 leak of an earlier boot',
  ]);
});

test.for([
  [59, '59 s'],
  [60, '60 s'],
  [120, '2 min'],
  [5400, '90 min'],
  [7200, '2 h'],
  [86_400, '24 h'],
  [604_800, '7 d'],
] as const)('%d s are %s', ([given, expected]) => expect(duration(given)).toBe(expected));

test('check tells what was compared', () => {
  const seen = {
    ...{ local: localView(), remote: remoteView(), unreachable: undefined },
    ...{ kernel: kernelView({ x: ['10.1.0.1'] }), attachments: [], nodes: new Set(['n1']) },
  };
  expect(renderCheck(ipam, seen, [], plainStyle)).toBe(
    '✓ in order: network pods, node n1: 0 addresses in 1 block, 1 pod netns\n  the directory /none: 1 block, 0 fixed; 1 node\n',
  );
});
