import type { Cluster, ClusterLink } from '../cluster.ts';
import { lookOf } from './link-look.ts';
import { nodeBox } from './node-box.ts';
import { joined, type Label, labelWidth, moved, type PolyLine, type Scene } from './scene.ts';

const TRACK_HEIGHT = 28;
const SMALLEST_GAP = 64;

/**
 * Nodes side by side, their lower edges in line. Below, every link has a horizontal stretch of its own,
 * and its label where no vertical line can be: between two nodes.
 */
export const rowOfNodes = ({ nodes, links }: Cluster): Scene => {
  const parts = nodes.map(nodeBox);
  const severalVnis = new Set(links.map(({ vni }) => vni)).size > 1;
  const texts = links.map((link) => linkText(link, severalVnis));
  const gap = Math.max(SMALLEST_GAP, ...texts.map((text) => labelWidth(text, 'vxlan') + 32));
  const height = Math.max(0, ...parts.map((part) => part.height));
  const lefts: number[] = [];
  let width = 0;
  for (const part of parts) {
    if (lefts.length > 0) width += gap;
    lefts.push(width);
    width += part.width;
  }
  const tracks = tracksOf(links);
  const lines: PolyLine[] = [];
  const labels: Label[] = [];
  for (const [index, link] of links.entries()) {
    const look = lookOf(link);
    const y = height + ((tracks[index] ?? 0) + 1) * TRACK_HEIGHT;
    const [a, b] = link.ends;
    const [from, to] = [portOf(links, index, a), portOf(links, index, b)].map(
      (port, end) =>
        (lefts[link.ends[end as 0 | 1]] ?? 0) + port * (parts[link.ends[end as 0 | 1]]?.width ?? 0),
    ) as [number, number];
    lines.push({
      look,
      points: [
        [from, height],
        [from, y],
        [to, y],
        [to, height],
      ],
    });
    const middle = (lefts[a] ?? 0) + (parts[a]?.width ?? 0) + gap / 2;
    labels.push({ x: middle, y: y + 4, text: texts[index] ?? '', look, centred: true, onLine: true });
  }
  const drawn = parts.map((part, index) =>
    moved({ ...part, lines: [] }, lefts[index] ?? 0, height - part.height),
  );
  const all = joined([...drawn, { boxes: [], lines, labels }]);
  return { ...all, width, height: height + (Math.max(-1, ...tracks) + 1) * TRACK_HEIGHT };
};

const linkText = ({ via, vni, problems }: ClusterLink, severalVnis: boolean): string => {
  const how = via === 'mixed' ? 'vxlan / direct' : via;
  const which = severalVnis ? ` ${vni}` : '';
  return `${how}${which}${problems.length > 0 ? ', broken' : ''}`;
};

/** For each link the number of its stretch, from above: short ones first, and none that meet in one. */
const tracksOf = (links: ClusterLink[]): number[] => {
  const tracks: number[] = [];
  const taken: [number, number][][] = [];
  const order = links.map((_, index) => index).sort((a, b) => span(links[a]) - span(links[b]) || a - b);
  for (const index of order) {
    const [from, to] = links[index]?.ends ?? [0, 0];
    let track = taken.findIndex((others) => others.every(([a, b]) => to <= a || b <= from));
    if (track < 0) track = taken.push([]) - 1;
    taken[track]?.push([from, to]);
    tracks[index] = track;
  }
  return tracks;
};

const span = (link: ClusterLink | undefined): number =>
  link === undefined ? 0 : link.ends[1] - link.ends[0];

/**
 * Where a link leaves a node's lower edge, as a fraction of it: the left half is for links to the left,
 * and the nearer the other end, the nearer to that side, so that a node's own lines do not cross.
 */
const portOf = (links: ClusterLink[], index: number, node: number): number => {
  const leftward = links[index]?.ends[1] === node;
  const side = links
    .map((_, each) => each)
    .filter((each) => links[each]?.ends[leftward ? 1 : 0] === node)
    .sort((a, b) => span(links[a]) - span(links[b]) || a - b);
  const fraction = (side.indexOf(index) + 1) / (side.length + 1) / 2;
  return leftward ? fraction : 1 - fraction;
};
