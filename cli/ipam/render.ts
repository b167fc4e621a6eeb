import { renderSections } from '../table.ts';
import type { Style } from '../terminal.ts';
import type { NodeAccount, PodAccount, PoolAccount } from './accounts.ts';
import { type BarStyle, bar, percent } from './bar.ts';

/** What text is made for. */
export interface Surroundings {
  columns: number;
  style: Style;
  bar: BarStyle;
}

/** Each pool with the share of its blocks that is claimed, as a bar. */
export const renderPools = (
  pools: readonly PoolAccount[],
  refused: readonly { pool: string; reason: string }[],
  surroundings: Surroundings,
): string =>
  renderSections(
    [
      {
        label: 'pools',
        rows: withBars(
          pools.map(({ pool, cidr, disabled, claimed, blocks, nodes, fixed, kept }) => ({
            before: [disabled ? `${pool} (disabled)` : pool, cidr],
            part: claimed,
            whole: blocks,
            after: [
              claimed === null ? `of ${count(blocks, 'block')}` : `${claimed} of ${count(blocks, 'block')}`,
              nodes === null ? '' : count(nodes, 'node'),
              fixed === null || kept === null ? '' : `${fixed} fixed${kept > 0 ? ` (${kept} kept)` : ''}`,
            ],
          })),
          refused.length > 0 ? leftOut : 'pools',
          surroundings,
        ),
      },
      { label: leftOut, rows: refused.map(({ pool, reason }) => [pool, reason]) },
      { label: '', rows: pools.length + refused.length === 0 ? [['there are no pools']] : [] },
    ],
    surroundings.style,
  );

const leftOut = 'left out';

/** Each node's blocks; of this node with the share of its addresses that is in use, as a bar, for each block. */
export const renderNodes = (nodes: readonly NodeAccount[], surroundings: Surroundings): string => {
  const here = nodes.flatMap(({ node, network, pool, blocks = [] }) =>
    blocks.map(({ cidr, size, free, held }) => ({
      before: [node, network, pool, cidr],
      part: size - free,
      whole: size,
      after: [`${size - free} of ${size} in use`, held > size - free ? `${held - (size - free)} fixed` : ''],
    })),
  );
  return renderSections(
    [
      { label: 'this node', rows: withBars(here, 'this node', surroundings) },
      {
        label: 'nodes',
        rows: nodes
          .filter(({ blocks }) => blocks === undefined)
          .map(({ node, network, pool, cidrs, missingSince }) => [
            node,
            network,
            pool,
            count(cidrs.length, 'block'),
            shortened(cidrs),
            missingSince === undefined ? '' : surroundings.style.red(`gone since ${missingSince}`),
          ]),
      },
      { label: '', rows: nodes.length === 0 ? [['no node has a block']] : [] },
    ],
    surroundings.style,
  );
};

/** The addresses of this node's pods, and all that are fixed, with how long they are kept. */
export const renderPods = (pods: readonly PodAccount[], { style }: Surroundings): string =>
  renderSections(
    [
      {
        label: 'addresses',
        rows: pods.map((account) => [
          account.address,
          account.pool,
          account.node,
          account.pod || shortId(account.containerId) || '–',
          account.ifname,
          noteOf(account, style),
        ]),
      },
      {
        label: '',
        rows: pods.length === 0 ? [['no address is in use on this node, and none is fixed']] : [],
      },
    ],
    style,
  );

const noteOf = ({ kind, key, holdSeconds, keptUntil, isStale }: PodAccount, style: Style): string => {
  if (isStale === true) return style.red('leak of an earlier boot');
  if (keptUntil !== undefined) return `kept for ${key ?? 'nobody'} until ${keptUntil}`;
  if (kind === 'sticky') return `sticky for ${key}, held for ${duration(holdSeconds ?? 0)}`;
  return kind === 'fixed' ? 'fixed' : '';
};

/** `90 s`, `15 min`, `24 h`, `7 d`: the largest unit in which it is whole. */
export const duration = (seconds: number): string => {
  for (const [unit, length] of [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
  ] as const) {
    if (seconds > length && seconds % length === 0) return `${seconds / length} ${unit}`;
  }
  return `${seconds} s`;
};

interface BarRow {
  before: string[];
  /** Null: not known. */
  part: number | null;
  whole: number;
  after: string[];
}

/**
 * Rows with a bar that takes what the other cells leave of the columns. Where that is too little, the last cells go, the
 * least important ones; where not even that is enough, there is no bar, and all cells.
 */
const withBars = (
  rows: readonly BarRow[],
  label: string,
  { columns, style, bar: barStyle }: Surroundings,
): string[][] => {
  const cells = Math.max(0, ...rows.map(({ after }) => after.length));
  for (let kept = cells; kept > 0; kept--) {
    const width = Math.min(longestBar, columns - widthWithout(rows, label, kept) - gap);
    if (width < shortestBar) continue;
    return rows.map(({ before, part, whole, after }) => {
      const colour = part !== null && part >= whole * 0.9 ? style.red : style.green;
      const drawn = part === null ? '' : colour(bar(part, whole, width, barStyle));
      return [...before, drawn, share(part, whole), ...after.slice(0, kept)];
    });
  }
  return rows.map(({ before, part, whole, after }) => [...before, share(part, whole), ...after]);
};

/** The columns of all but the bar, when so many of the cells behind it are kept. */
const widthWithout = (rows: readonly BarRow[], label: string, kept: number): number => {
  const lines = rows.map(({ before, after }) => [...before, share(1, 1), ...after.slice(0, kept)]);
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((cells) => Bun.stringWidth(cells[column] ?? ''))),
  );
  return widths.reduce((sum, width) => sum + width + gap, gap + label.length);
};

const share = (part: number | null, whole: number): string =>
  percent(part ?? 0, part === null ? 0 : whole).padStart('100 %'.length);

const gap = 2;
const shortestBar = 10;
const longestBar = 40;

/** Numbers that nobody reads, as those of blocks in IPv6 pools are, as powers of two: they are such. */
const count = (number: number, one: string): string =>
  `${number > 1e6 ? `2^${Math.round(Math.log2(number))}` : number} ${number === 1 ? one : `${one}s`}`;

const shortened = (cidrs: readonly string[]): string =>
  cidrs.length <= 4 ? cidrs.join(' ') : `${cidrs.slice(0, 3).join(' ')} …`;

/** Container ids of runtimes are 64 digits; twelve tell them apart, as `crictl ps` shows them. */
const shortId = (id: string): string => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);
