import type { Cluster, ClusterLink, ClusterNode } from '../cluster.ts';
import { printable } from '../printable.ts';
import { lookOf } from './link-look.ts';
import { nodeBox } from './node-box.ts';
import {
  fitted,
  joined,
  type Label,
  type LabelLook,
  LINE_HEIGHT,
  type LineLook,
  labelWidth,
  moved,
  type Scene,
} from './scene.ts';

const PADDING = 16;
const SPACE = 12;
const INSET = 10;
const WIDEST_TEXT = 240;
/** Of the grid, in px, where a cell is not wider. */
const WIDEST_GRID = 1240;
const MOST_CELLS = 300;
const MOST_BROKEN = 8;

/**
 * Too many nodes to draw each pair: small boxes in a grid. Where only one node was looked at, it is drawn
 * whole on the left, and the links to its peers are drawn as one line for each kind.
 */
export const manyNodes = ({ nodes, links }: Cluster): Scene => {
  const seen = nodes.filter((node) => node.seen !== undefined);
  const centre = seen.length === 1 ? seen[0] : undefined;
  const others = nodes.filter((node) => node !== centre);
  const group = gridOf(others, nodes, links, centre);
  if (centre === undefined) return group;
  const box = { ...nodeBox(centre), lines: [] };
  const trunks = trunksOf(links);
  const gap = Math.max(...trunks.map(({ text }) => labelWidth(text, 'vxlan') + 40), 60);
  const height = Math.max(box.height, group.height, (trunks.length + 1) * 30);
  const top = (height - box.height) / 2;
  const groupTop = (height - group.height) / 2;
  const lines: Scene['lines'] = [];
  const labels: Label[] = [];
  for (const [index, { look, text }] of trunks.entries()) {
    const y = height / 2 + (index - (trunks.length - 1) / 2) * 30;
    lines.push({
      look,
      points: [
        [box.width, y],
        [box.width + gap, y],
      ],
    });
    labels.push({ x: box.width + gap / 2, y: y + 4, text, look, centred: true, onLine: true });
  }
  return {
    ...joined([moved(box, 0, top), moved(group, box.width + gap, groupTop), { boxes: [], lines, labels }]),
    width: box.width + gap + group.width,
    height,
  };
};

/** Links of one kind as one line. */
const trunksOf = (links: ClusterLink[]): { look: LineLook; text: string }[] =>
  [...Map.groupBy(links, lookOf)].map(([look, { length }]) => ({
    look,
    text: `${look === 'broken' ? 'broken' : look} to ${length}`,
  }));

const gridOf = (
  shown: ClusterNode[],
  nodes: ClusterNode[],
  links: ClusterLink[],
  centre: ClusterNode | undefined,
): Scene => {
  const cells = shown
    .slice(0, MOST_CELLS)
    .map((node) => cellLines(node, looksOf(node, nodes, links, centre)));
  const cellWidth =
    Math.max(...cells.flatMap((lines) => lines.map(([text, look]) => labelWidth(text, look)))) + 2 * INSET;
  const cellHeight = Math.max(...cells.map(({ length }) => length)) * LINE_HEIGHT + 2 * INSET - 4;
  const columns = Math.max(
    1,
    Math.min(Math.floor(WIDEST_GRID / (cellWidth + SPACE)), Math.ceil(Math.sqrt(cells.length * 1.2))),
  );
  const foot = footLines(shown.length - cells.length, nodes, links, centre);
  const head = 44;
  const rows = Math.ceil(cells.length / columns);
  const title = centre === undefined ? `${shown.length} nodes` : `${shown.length} peers`;
  const width =
    Math.max(
      columns * (cellWidth + SPACE) - SPACE,
      labelWidth(title, 'name'),
      ...foot.map(([text, look]) => labelWidth(text, look)),
    ) +
    2 * PADDING;
  const gridHeight = rows * (cellHeight + SPACE);
  const height = head + gridHeight + foot.length * LINE_HEIGHT + PADDING - (foot.length > 0 ? 0 : SPACE);
  const scene: Scene = {
    width,
    height,
    boxes: [{ x: 0, y: 0, width, height, look: 'group' }],
    lines: [],
    labels: [],
  };
  scene.labels.push({ x: PADDING, y: 28, text: title, look: 'name' });
  for (const [index, lines] of cells.entries()) {
    const x = PADDING + (index % columns) * (cellWidth + SPACE);
    const y = head + Math.floor(index / columns) * (cellHeight + SPACE);
    const faulty = lines.some(([, look]) => look === 'broken' || look === 'problem');
    scene.boxes.push({ x, y, width: cellWidth, height: cellHeight, look: faulty ? 'faulty' : 'pod' });
    for (const [line, [text, look]] of lines.entries()) {
      scene.labels.push({ x: x + INSET, y: y + INSET + 9 + line * LINE_HEIGHT, text, look });
    }
  }
  for (const [line, [text, look]] of foot.entries()) {
    scene.labels.push({ x: PADDING, y: head + gridHeight + 12 + line * LINE_HEIGHT, text, look });
  }
  return scene;
};

/** How the centre reaches a node. */
const looksOf = (
  node: ClusterNode,
  nodes: ClusterNode[],
  links: ClusterLink[],
  centre: ClusterNode | undefined,
): LineLook[] => {
  if (centre === undefined) return [];
  const position = nodes.indexOf(node);
  return [...new Set(links.filter(({ ends }) => ends.includes(position)).map(lookOf))];
};

const cellLines = (node: ClusterNode, looks: LineLook[]): [string, LabelLook][] => {
  const pods = node.seen?.pods ?? [];
  const problems = [...pods, ...(node.seen?.overlays ?? [])].flatMap((each) => each.problems).length;
  const lines: [string, LabelLook][] = [
    [node.name, 'strong'],
    ...node.addresses.map((address): [string, LabelLook] => [address, 'plain']),
    ...node.podCIDRs.map((prefix): [string, LabelLook] => [prefix, 'faint']),
    ...(node.seen === undefined
      ? []
      : [[`${pods.length} pod${pods.length === 1 ? '' : 's'}`, 'plain'] satisfies [string, LabelLook]]),
    ...(problems === 0
      ? []
      : [[`${problems} problem${problems === 1 ? '' : 's'}`, 'problem'] satisfies [string, LabelLook]]),
    ...looks.map((look): [string, LabelLook] => [look, look]),
  ];
  return lines.map(([text, look]) => [fitted(printable(text), look, WIDEST_TEXT), look]);
};

const footLines = (
  left: number,
  nodes: ClusterNode[],
  links: ClusterLink[],
  centre: ClusterNode | undefined,
): [string, LabelLook][] => {
  const broken = links.filter((link) => lookOf(link) === 'broken');
  const name = (index: number): string => nodes[index]?.name ?? '';
  const counts = [...Map.groupBy(links, lookOf)].map(([look, { length }]) => `${length} ${look}`);
  const lines: [string, LabelLook][] = [
    ...(left > 0 ? [[`and ${left} more`, 'strong'] satisfies [string, LabelLook]] : []),
    ...(centre === undefined && counts.length > 0
      ? [[`links between them: ${counts.join(', ')}`, 'strong'] satisfies [string, LabelLook]]
      : []),
    ...broken
      .slice(0, MOST_BROKEN)
      .map(({ ends: [a, b], problems }): [string, LabelLook] => [
        `${name(a)} – ${name(b)}: ${problems[0] ?? 'one says vxlan, the other direct'}`,
        'problem',
      ]),
    ...(broken.length > MOST_BROKEN
      ? [[`and ${broken.length - MOST_BROKEN} more broken links`, 'problem'] satisfies [string, LabelLook]]
      : []),
  ];
  return lines.map(([text, look]) => [fitted(printable(text), look, 2 * WIDEST_TEXT), look]);
};
