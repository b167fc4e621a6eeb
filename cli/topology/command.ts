import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { columnsOf, styleFor, writeOut } from '../terminal.ts';
import { mergeTopologies } from './cluster.ts';
import type { Topology } from './model.ts';
import { observeNode } from './observe.ts';
import { parseTopology } from './parse.ts';
import { layOutTopology } from './picture/layout.ts';
import { renderSvg } from './picture/svg.ts';
import { renderTopology } from './render.ts';

interface TopologyFlags {
  json?: boolean;
  svg?: string | true;
  from?: string[];
}

/** `podwire topology`: this node, its pods and its peers, as a picture. */
export const register = (command: Command): void => {
  command
    .option('--json', 'print the model as a JSON object')
    .option('--svg [file]', 'draw it as SVG, to the file or to stdout')
    .option('--from <file...>', 'not this node, but what --json printed on others, as one cluster')
    .addHelpText('after', examples)
    .action(({ json, svg, from }: TopologyFlags) => {
      const topology = from === undefined ? observeNode() : mergeTopologies(from.map(readTopology));
      if (svg !== undefined) return writeSvg(topology, svg);
      writeOut(
        json === true
          ? `${JSON.stringify(topology, null, 2)}\n`
          : renderTopology(topology, columnsOf(1), styleFor(1)),
      );
    });
};

const readTopology = (file: string): Topology => {
  let text: string;
  try {
    text = readFileSync(file === '-' ? '/dev/stdin' : file, 'utf8');
  } catch (error) {
    throw ioError(`cannot read ${file}`, error);
  }
  return parseTopology(text, file);
};

const writeSvg = (topology: Topology, file: string | true): void => {
  const svg = renderSvg(layOutTopology(topology));
  try {
    if (file === true || file === '-') writeOut(svg);
    else writeFileSync(file, svg);
  } catch (error) {
    throw ioError(`cannot write ${file === true ? 'stdout' : file}`, error);
  }
};

const ioError = (message: string, cause: unknown): CniError =>
  new CniError(ErrorCode.ioFailure, message, { details: (cause as Error).message, cause });

const examples = `
Shows what this node has: its pods with their addresses, its VTEP, and how each peer is reached. What the
kernel lacks of it is told in red. Changes nothing.

Examples:
  podwire topology
  podwire topology --svg node.svg
  podwire topology --json >$(hostname).json            on every node; then, anywhere:
  podwire topology --from *.json --svg cluster.svg     all of them in one picture

Exit code: 0 shown, 1 failure, 2 wrong usage.`;
