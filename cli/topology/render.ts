import type { Style } from '../terminal.ts';
import {
  podName,
  type Topology,
  type TopologyNode,
  type TopologyOverlay,
  type TopologyPod,
} from './model.ts';
import { printable } from './printable.ts';
import { type Branch, type Cell, renderTrees } from './tree.ts';

/** The picture as text, not wider than `width` columns where no single word is. Ends with a newline. */
export const renderTopology = ({ nodes }: Topology, width: number, style: Style): string =>
  renderTrees(nodes.map(nodeTree), width, style);

const nodeTree = (node: TopologyNode): Branch => {
  const { overlays, pods } = node;
  const uplinks = new Map(overlays.map(({ underlay }) => [underlay.address, underlay]));
  return {
    cells: [
      cell(node.name, 'bold'),
      ...[...uplinks.values()].flatMap(({ address, device, mtu }) => [
        cell(address),
        cell(`on ${device}, MTU ${mtu}`, 'dim'),
      ]),
    ],
    children: [
      ...[...Map.groupBy(pods, ({ network }) => network)].map(([network, members]) =>
        networkTree(network, members),
      ),
      ...overlays.map(overlayTree),
      ...(pods.length + overlays.length === 0 ? [{ cells: [cell('no pods and no overlay', 'dim')] }] : []),
    ],
  };
};

const networkTree = (network: string, pods: TopologyPod[]): Branch => {
  const plugins = [...new Set(pods.map(({ plugin }) => plugin))].join(', ');
  return {
    cells: [cell(network, 'bold'), cell(`${plugins}, ${counted(pods.length, 'pod')}`, 'dim')],
    children: pods.map((pod) => ({
      cells: [
        cell(podName(pod)),
        ...pod.addresses.map((address) => cell(address)),
        ...(pod.hostInterface === undefined ? [] : [cell(`${pod.interface} ↔ ${pod.hostInterface}`, 'dim')]),
      ],
      ...problemBranches(pod.problems),
    })),
  };
};

const overlayTree = (overlay: TopologyOverlay): Branch => {
  const { device, vni, port, mtu, mac, mode, podCIDRs, addresses, peers, problems } = overlay;
  return {
    cells: [cell(device, 'bold'), cell(`VNI ${vni}, UDP ${port}, MTU ${mtu}, ${mode}`, 'dim')],
    children: [
      ...problems.map(problemBranch),
      { cells: [cell('VTEP', 'dim'), cell(mac), ...addresses.map((address) => cell(address))] },
      { cells: [cell('pods', 'dim'), ...podCIDRs.map((prefix) => cell(prefix))] },
      {
        cells: [cell(counted(peers.length, 'peer'), 'dim')],
        children: peers.map((peer) => ({
          cells: [
            cell(peer.name, 'bold'),
            cell(peer.via, peer.via === 'direct' ? 'green' : 'plain'),
            cell(peer.address),
            ...peer.podCIDRs.map((prefix) => cell(prefix)),
          ],
          ...problemBranches(peer.problems),
        })),
      },
    ],
  };
};

const problemBranches = (problems: string[]): { children?: Branch[] } =>
  problems.length === 0 ? {} : { children: problems.map(problemBranch) };

const problemBranch = (problem: string): Branch => ({ cells: [cell(`✗ ${problem}`, 'red')] });

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const cell = (text: string, tone?: Cell['tone']): Cell => ({
  text: printable(text),
  ...(tone === undefined ? {} : { tone }),
});
