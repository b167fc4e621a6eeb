import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Topology, TopologyNode, TopologyOverlay } from './model.ts';

/** The nodes and how they reach each other, as far as the nodes that were looked at tell. */
export interface Cluster {
  /** Those that were looked at first, then their other peers; each by name. */
  nodes: ClusterNode[];
  links: ClusterLink[];
}

export interface ClusterNode {
  name: string;
  /** Absent of a node that is only known as a peer. */
  seen?: TopologyNode;
  /** Of the underlay. */
  addresses: string[];
  podCIDRs: string[];
}

export interface ClusterLink {
  /** Indices of nodes, the lower first. */
  ends: [number, number];
  vni: number;
  port: number;
  via: 'vxlan' | 'direct' | 'mixed';
  problems: string[];
}

/** One topology of several. Throws CniError 7 when two are of the same node. */
export const mergeTopologies = (topologies: Topology[]): Topology => {
  const nodes = topologies.flatMap((topology) => topology.nodes).sort((a, b) => byName(a.name, b.name));
  const twice = nodes.find(({ name }, index) => nodes[index + 1]?.name === name);
  if (twice !== undefined) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `two of the files are of node ${twice.name}`, {
      details: 'Give the output of "podwire topology --json" of each node once.',
    });
  }
  return { version: 1, nodes };
};

/** Who is linked with whom. */
export const clusterOf = ({ nodes: seen }: Topology): Cluster => {
  const nodes: ClusterNode[] = [...seen].sort((a, b) => byName(a.name, b.name)).map(seenNode);
  const index = new Map(nodes.map(({ name }, position) => [name, position]));
  const peers = seen.flatMap(({ overlays }) => overlays.flatMap((overlay) => overlay.peers));
  for (const { name, address, podCIDRs } of peers.sort((a, b) => byName(a.name, b.name))) {
    if (index.has(name)) continue;
    index.set(name, nodes.length);
    nodes.push({ name, addresses: [address], podCIDRs });
  }
  return { nodes, links: linksOf(nodes, index) };
};

const seenNode = (node: TopologyNode): ClusterNode => ({
  name: node.name,
  seen: node,
  addresses: [...new Set(node.overlays.map(({ underlay }) => underlay.address))],
  podCIDRs: [...new Set(node.overlays.flatMap(({ podCIDRs }) => podCIDRs))],
});

const linksOf = (nodes: ClusterNode[], index: Map<string, number>): ClusterLink[] => {
  const links = new Map<string, ClusterLink>();
  for (const [own, { seen }] of nodes.entries()) {
    for (const overlay of seen?.overlays ?? []) {
      for (const peer of overlay.peers) {
        const other = index.get(peer.name) ?? own;
        if (other === own) continue;
        const ends: [number, number] = own < other ? [own, other] : [other, own];
        const key = `${ends.join(' ')} ${overlay.vni}`;
        const problems = [...ownProblems(overlay, peer.via), ...peer.problems].map(
          (problem) => `${seen?.name}: ${problem}`,
        );
        const known = links.get(key);
        if (known === undefined) {
          links.set(key, { ends, vni: overlay.vni, port: overlay.port, via: peer.via, problems });
          continue;
        }
        if (known.via !== peer.via) known.via = 'mixed';
        known.problems.push(...problems);
      }
    }
  }
  return [...links.values()].sort((a, b) => a.ends[0] - b.ends[0] || a.ends[1] - b.ends[1] || a.vni - b.vni);
};

/** A VTEP that is not in order matters only to those that are reached through it. */
const ownProblems = ({ problems }: TopologyOverlay, via: 'vxlan' | 'direct'): string[] =>
  via === 'vxlan' ? problems : [];

/** n2 before n10. */
const byName = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);

const collator = new Intl.Collator('en', { numeric: true });
