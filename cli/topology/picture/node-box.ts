import type { ClusterNode } from '../cluster.ts';
import { podName, type TopologyOverlay, type TopologyPod } from '../model.ts';
import { printable } from '../printable.ts';
import { type Box, fitted, type Label, type LabelLook, LINE_HEIGHT, labelWidth } from './scene.ts';

/** A box with what is in it, its upper left corner at 0, 0. */
export interface Part {
  width: number;
  height: number;
  boxes: Box[];
  labels: Label[];
}

const PADDING = 14;
const INSET = 8;
const SPACE = 10;
const WIDEST_TEXT = 300;
const MOST_PODS = 8;
const MOST_PROBLEMS = 4;

/** A node that was looked at: its pods, its VTEPs, and its uplink at the bottom. */
export const nodeBox = (node: ClusterNode): Part => {
  const { pods = [], overlays = [] } = node.seen ?? {};
  const head: [string, LabelLook][] = [
    [node.name, 'name'],
    ...node.podCIDRs.map((prefix): [string, LabelLook] => [prefix, 'faint']),
    ...(node.seen === undefined ? [['known as a peer', 'faint'] satisfies [string, LabelLook]] : []),
  ];
  const cells = [...podCells(pods), ...overlays.map(vtepCell), ...uplinkCells(node)];
  const columns = pods.length > 4 ? 2 : 1;
  const podCellsCount = cells.filter(({ box }) => box === 'pod' || box === 'faulty-pod').length;
  const podWidth = widest(cells.slice(0, podCellsCount));
  const content = Math.max(
    ...head.map(([text, look]) => labelWidth(fitted(printable(text), look, WIDEST_TEXT), look)),
    podCellsCount === 0 ? 0 : columns * podWidth + (columns - 1) * SPACE,
    widest(cells.slice(podCellsCount)),
  );
  const part: Part = { width: content + 2 * PADDING, height: PADDING, boxes: [], labels: [] };
  for (const [text, look] of head) addLine(part, PADDING, text, look);
  part.height += SPACE;
  addGrid(part, cells.slice(0, podCellsCount), columns, content);
  for (const cell of cells.slice(podCellsCount)) addGrid(part, [cell], 1, content);
  part.height += PADDING - SPACE;
  part.boxes.unshift({
    x: 0,
    y: 0,
    width: part.width,
    height: part.height,
    look: node.seen ? 'node' : 'peer',
  });
  return part;
};

/** A box within a node's, of lines. */
interface Cell {
  box: 'pod' | 'faulty-pod' | 'vtep' | 'faulty' | 'uplink';
  lines: [string, LabelLook][];
}

const podCells = (pods: TopologyPod[]): Cell[] => {
  const shown = pods.length > MOST_PODS ? pods.slice(0, MOST_PODS - 1) : pods;
  const rest = pods.slice(shown.length);
  const faulty = rest.filter(({ problems }) => problems.length > 0).length;
  return [
    ...shown.map(
      (pod): Cell => ({
        box: pod.problems.length > 0 ? 'faulty-pod' : 'pod',
        lines: [
          [podName(pod), 'strong'],
          ...pod.addresses.map((address): [string, LabelLook] => [address, 'plain']),
          ...problemLines(pod.problems),
        ],
      }),
    ),
    ...(rest.length === 0
      ? []
      : [
          {
            box: 'pod',
            lines: [
              [`and ${rest.length} more pods`, 'strong'],
              ...(faulty === 0
                ? []
                : [[`${faulty} of them with a problem`, 'problem'] satisfies [string, LabelLook]]),
            ],
          } satisfies Cell,
        ]),
  ];
};

const vtepCell = ({ device, vni, mtu, mac, addresses, problems }: TopologyOverlay): Cell => ({
  box: problems.length > 0 ? 'faulty' : 'vtep',
  lines: [
    [`VTEP ${device}`, 'strong'],
    [`VNI ${vni} · MTU ${mtu}`, 'plain'],
    ...addresses.map((address): [string, LabelLook] => [address, 'plain']),
    [mac, 'plain'],
    ...problemLines(problems),
  ],
});

const uplinkCells = ({ seen, addresses }: ClusterNode): Cell[] => {
  const uplinks = new Map(seen?.overlays.map(({ underlay }) => [underlay.address, underlay]));
  return addresses.map((address): Cell => {
    const uplink = uplinks.get(address);
    return {
      box: 'uplink',
      lines: [
        [address, 'strong'],
        ...(uplink === undefined
          ? []
          : [[`${uplink.device} · MTU ${uplink.mtu}`, 'plain'] satisfies [string, LabelLook]]),
      ],
    };
  });
};

const problemLines = (problems: string[]): [string, LabelLook][] => [
  ...problems.slice(0, MOST_PROBLEMS).map((problem): [string, LabelLook] => [problem, 'problem']),
  ...(problems.length > MOST_PROBLEMS
    ? [[`and ${problems.length - MOST_PROBLEMS} more problems`, 'problem'] satisfies [string, LabelLook]]
    : []),
];

const widest = (cells: Cell[]): number =>
  Math.max(
    0,
    ...cells.flatMap(({ lines }) =>
      lines.map(([text, look]) => labelWidth(fitted(printable(text), look, WIDEST_TEXT), look) + 2 * INSET),
    ),
  );

/** Puts cells into rows of `columns` below what the part has. */
const addGrid = (part: Part, cells: Cell[], columns: number, width: number): void => {
  const cellWidth = (width - (columns - 1) * SPACE) / columns;
  for (let first = 0; first < cells.length; first += columns) {
    const row = cells.slice(first, first + columns);
    const top = part.height;
    const height = Math.max(...row.map(({ lines }) => lines.length)) * LINE_HEIGHT + 2 * INSET - 4;
    for (const [column, { box, lines }] of row.entries()) {
      const x = PADDING + column * (cellWidth + SPACE);
      part.boxes.push({ x, y: top, width: cellWidth, height, look: box === 'faulty-pod' ? 'faulty' : box });
      part.height = top + INSET - 4;
      for (const [text, look] of lines) addLine(part, x + INSET, text, look);
    }
    part.height = top + height + SPACE;
  }
};

/** Adds a line of text at the part's lower end. */
const addLine = (part: Part, x: number, text: string, look: LabelLook): void => {
  part.height += look === 'name' ? LINE_HEIGHT + 3 : LINE_HEIGHT;
  part.labels.push({ x, y: part.height - 4, text: fitted(printable(text), look, WIDEST_TEXT), look });
};
