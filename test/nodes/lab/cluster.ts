import { waitUntil } from '../../support/wait-until.ts';
import { createLab, type Lab, type LabOptions } from './lab.ts';
import type { LabNode, LabPod } from './node.ts';

export interface ClusterOptions extends LabOptions {
  /** Pods on each node; none unless given. */
  pods?: number;
  /** Of the overlay, where `agentArgs` say so; 1 unless given. */
  vni?: number;
}

/** A lab whose agents run and know each other, with pods. All of them, and the host outside, answer the prober. */
export const createCluster = async (options: ClusterOptions = {}): Promise<Lab> => {
  const lab = await createLab(options);
  try {
    await startAgents(lab.nodes, [], options.vni);
    const { pods = 0 } = options;
    await Promise.all(lab.nodes.map((node) => addPods(node, pods)));
    await lab.prober.serve([
      lab.outside.netnsPath,
      ...lab.nodes.map(({ host }) => host.netnsPath),
      ...podsOf(lab).map(netnsOf),
    ]);
    return lab;
  } catch (error) {
    await lab.dispose();
    throw error;
  }
};

/** Starts the agents of these nodes and waits until all are ready and know the others. */
export const startAgents = async (nodes: LabNode[], args: string[] = [], vni = 1): Promise<void> => {
  for (const node of nodes) node.startAgent(args);
  await Promise.all(nodes.map((node) => node.ready()));
  await Promise.all(nodes.map((node) => knowsPeers(node, nodes.length - 1, vni)));
};

/** Waits until a node has so many peers. */
export const knowsPeers = (node: LabNode, count: number, vni = 1): Promise<unknown> =>
  waitUntil(`${node.name} has ${count} peers`, () => node.peers(vni).length === count);

/** Adds pods one after the other, named after the node: n1-a, n1-b, … */
export const addPods = async (node: LabNode, count: number): Promise<void> => {
  for (let index = 0; index < count; index += 1) {
    await node.addPod(`${node.name}-${String.fromCharCode(97 + index)}`);
  }
};

export const podsOf = (lab: Lab): LabPod[] => lab.nodes.flatMap(({ pods }) => pods);

/** A pod's network namespace as a path that is valid outside of its node. */
export const netnsOf = ({ node, pod }: LabPod): string => node.host.path(pod.netns);

/** The address of the same family as another. */
export const sameFamily = (addresses: string[], as: string): string | undefined =>
  addresses.find((address) => address.includes(':') === as.includes(':'));
