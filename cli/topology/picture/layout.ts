import { type Cluster, clusterOf } from '../cluster.ts';
import type { Topology } from '../model.ts';
import { printable } from '../printable.ts';
import { manyNodes } from './many-nodes.ts';
import { rowOfNodes } from './row.ts';
import {
  type Drawing,
  joined,
  type Label,
  LINE_HEIGHT,
  type LineLook,
  labelWidth,
  moved,
  type Scene,
} from './scene.ts';

/** Up to this many nodes are drawn whole, with a line for each pair of them. */
const MOST_IN_A_ROW = 6;

const MARGIN = 28;
const TITLE_HEIGHT = 62;

/** Where everything is in the picture of a cluster. Pure; no two labels overlap. */
export const layOutTopology = (topology: Topology): Scene => {
  const cluster = clusterOf(topology);
  const body = cluster.nodes.length > MOST_IN_A_ROW ? manyNodes(cluster) : rowOfNodes(cluster);
  const titles = titleLabels(topology, cluster);
  const legend = legendOf(body);
  const width = Math.max(
    body.width + 2 * MARGIN,
    ...[...titles, ...legend.labels].map(({ x, text, look }) => x + labelWidth(text, look) + MARGIN),
  );
  const left = (width - body.width) / 2;
  const legendTop = TITLE_HEIGHT + MARGIN + body.height + MARGIN;
  const title: Drawing = { boxes: [], lines: [], labels: titles };
  return {
    ...joined([title, moved(body, left, TITLE_HEIGHT + MARGIN), moved(legend, 0, legendTop)]),
    width,
    height: legendTop + legend.height + (legend.height > 0 ? MARGIN : 0),
  };
};

const titleLabels = ({ nodes: seen }: Topology, { nodes }: Cluster): Label[] => {
  const pods = seen.reduce((sum, node) => sum + node.pods.length, 0);
  const overlays = new Set(
    seen.flatMap(({ overlays }) =>
      overlays.map(({ vni, port, mode }) => `VNI ${vni} · UDP port ${port} · mode ${mode}`),
    ),
  );
  const looked =
    seen.length === nodes.length
      ? ''
      : ` · looked at from ${printable(seen.map(({ name }) => name).join(', '))}`;
  const title = `${counted(nodes.length, 'node')} · ${counted(pods, 'pod')}`;
  const [first, ...others] = overlays;
  const more = others.length === 0 ? '' : ` · and ${others.length} more`;
  return [
    { x: MARGIN, y: 40, text: title, look: 'title' },
    {
      x: MARGIN,
      y: 62,
      text: `${first ?? 'no overlay'}${more}${looked.length > 120 ? '' : looked}`,
      look: 'faint',
    },
  ];
};

/** What the lines mean, for those that are there. */
const legendOf = ({ lines }: Scene): Scene => {
  const legend: Scene = { width: 0, height: 0, boxes: [], lines: [], labels: [] };
  for (const [look, text] of Object.entries(meanings) as [LineLook, string][]) {
    if (!lines.some((line) => line.look === look)) continue;
    legend.lines.push({
      look,
      points: [
        [MARGIN, legend.height + 6],
        [MARGIN + 40, legend.height + 6],
      ],
    });
    legend.labels.push({ x: MARGIN + 52, y: legend.height + 10, text, look: 'faint' });
    legend.height += LINE_HEIGHT + 3;
  }
  return legend;
};

const meanings: Record<LineLook, string> = {
  vxlan: 'vxlan: pods’ packets are encapsulated in UDP between the nodes',
  direct: 'direct: pods’ packets are routed between neighbours as they are',
  broken: 'broken: the kernel lacks something, or the two ends differ',
};

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
