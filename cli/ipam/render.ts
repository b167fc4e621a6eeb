import { renderSections } from '../table.ts';
import type { Style } from '../terminal.ts';
import type { NodeAccount, PodAccount, PoolAccount } from './accounts.ts';
import { bar, percent } from './bar.ts';

/** Each pool with the share of its blocks that is claimed, as a bar. */
export const renderPools = (
  pools: readonly PoolAccount[],
  refused: readonly { pool: string; reason: string }[],
  columns: number,
  style: Style,
): string =>
  renderSections(
    [
      {
        label: 'pools',
        rows: pools.map(({ pool, cidr, disabled, claimed, blocks, nodes, fixed }) => [
          pool,
          cidr,
          bar(claimed, blocks, barWidth(columns)),
          percent(claimed, blocks),
          `${claimed} of ${blocks} blocks`,
          `${nodes} nodes`,
          `${fixed} fixed`,
          disabled ? 'disabled' : '',
        ]),
      },
      { label: 'refused', rows: refused.map(({ pool, reason }) => [pool, reason]) },
      { label: '', rows: pools.length + refused.length === 0 ? [['there are no pools']] : [] },
    ],
    style,
  );

/** Each node's blocks; of this node with the share of its addresses that is in use, as a bar. */
export const renderNodes = (nodes: readonly NodeAccount[], columns: number, style: Style): string =>
  renderSections(
    [
      {
        label: 'nodes',
        rows: nodes.map(({ node, network, pool, cidrs, isMissing, size, free }) => [
          node,
          network,
          pool,
          size === undefined || free === undefined ? '' : bar(size - free, size, barWidth(columns)),
          size === undefined || free === undefined ? '' : `${size - free} of ${size} in use`,
          cidrs.join(' '),
          isMissing ? 'gone' : '',
        ]),
      },
      { label: '', rows: nodes.length === 0 ? [['no node has a block']] : [] },
    ],
    style,
  );

/** The addresses of this node's pods, and all that are fixed. */
export const renderPods = (pods: readonly PodAccount[], style: Style): string =>
  renderSections(
    [
      {
        label: 'addresses',
        rows: pods.map(({ address, node, containerId, ifname, note }) => [
          address,
          node,
          containerId,
          ifname,
          note,
        ]),
      },
      { label: '', rows: pods.length === 0 ? [['no address is in use on this node']] : [] },
    ],
    style,
  );

const barWidth = (columns: number): number => Math.max(8, Math.min(30, columns - 70));
