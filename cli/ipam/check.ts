import { ReportedFailure } from '../failure.ts';
import { type Style, styleFor } from '../terminal.ts';
import type { Finding } from './finding.ts';
import { findingObject } from './finding.ts';
import { findIpamNetwork, type IpamFlags } from './network.ts';
import { print } from './print.ts';
import { confirmedFindings, type Survey } from './survey.ts';

export type CheckFlags = IpamFlags & { knownNode?: string[]; minAge: number };

/** Whether datastore, node and kernel agree. Throws ReportedFailure when they do not, or the datastore is away. */
export const check = async (flags: CheckFlags): Promise<void> => {
  const { node } = findIpamNetwork(flags).cluster;
  const { seen, findings } = await confirmedFindings(node, flags.minAge * 1000, flags.knownNode);
  const { unreachable } = seen;
  print(
    flags,
    {
      network: node.network,
      node: node.node,
      datastore: {
        what: node.datastore,
        ...(unreachable === undefined ? {} : { error: unreachable.message, details: unreachable.details }),
      },
      compared: compared(seen),
      findings: findings.map(findingObject),
    },
    () => renderCheck(node, seen, findings, styleFor(1)),
  );
  if (findings.length > 0 || unreachable !== undefined) throw new ReportedFailure();
};

/** What was looked at, in numbers. */
const compared = ({ local, remote, kernel, nodes }: Survey) => ({
  held: local.held.length,
  blocks: local.blocks.length,
  clusterBlocks: remote?.blocks.length ?? null,
  fixed: remote?.addresses.length ?? null,
  podNetns: new Set(kernel.found.map(({ inode }) => inode)).size,
  nodes: nodes === undefined ? null : nodes.size,
});

export const renderCheck = (
  { node, datastore, network }: { node: string; datastore: string; network: string },
  seen: Survey,
  findings: readonly Finding[],
  style: Style,
): string => {
  const { held, blocks, clusterBlocks, fixed, podNetns, nodes } = compared(seen);
  const { unreachable } = seen;
  const lines = findings.flatMap(({ kind, what, meaning, remedy }) => [
    `${style.red(kind.padEnd(longestKind))}  ${what}`,
    `${indent}${style.dim(meaning)}`,
    `${indent}→ ${remedy}`,
  ]);
  if (unreachable !== undefined) {
    lines.push(
      `${style.red('datastore'.padEnd(longestKind))}  ${unreachable.message}`,
      `${indent}${style.dim('Compared was only what this node has.')}`,
      `${indent}→ ${unreachable.details ?? 'See that it runs.'}`,
    );
  }
  const count = findings.length;
  const mended = findings.filter(({ gc }) => gc).length;
  const verdict =
    count === 0 && unreachable === undefined
      ? `${style.green('✓')} in order`
      : `${style.red('✗')} ${counted(count, 'finding')}${mended > 0 ? `, ${mended} of which "podwire ipam gc" mends` : ''}`;
  lines.push(
    `${verdict}: network ${network}, node ${node}: ${counted(held, 'address', 'addresses')} in ${counted(blocks, 'block')}, ${podNetns} pod netns`,
    style.dim(
      clusterBlocks === null
        ? `  ${datastore}: not reached`
        : `  ${datastore}: ${counted(clusterBlocks, 'block')}, ${fixed} fixed; ${nodes === null ? 'which nodes there are is not known here (--known-node tells)' : counted(nodes, 'node')}`,
    ),
  );
  return `${lines.join('\n')}\n`;
};

const longestKind = 'difference'.length;
const indent = ' '.repeat(longestKind + 2);

const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;
