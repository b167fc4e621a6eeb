import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject, show } from '../../shared/cni/fields.ts';
import { readFileSync } from '../../shared/kernel/files.ts';
import { lookUpRoute } from '../../shared/kernel/route-lookup.ts';
import { readSysctl } from '../../shared/kernel/sysctl.ts';
import { parseOverlayNodes, parseOverlayNodesFile } from '../../shared/overlay/nodes.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import { failedWith } from '../../shared/store/io-failure.ts';
import type { Peers, VxlanConfig } from './config.ts';

/** The nodes that a file or the configuration has. */
export interface KnownNodes {
  own: OverlayNode;
  /** All of them, this one among them. */
  all: OverlayNode[];
}

/** Where the nodes come from when no agent knows them. */
export type OwnPeers = Exclude<Peers, { from: 'agent' }>;

/**
 * Reads the nodes, and which of them is this one. Throws CniError 7 when they are not valid or this node is not
 * among them, 5 when the file cannot be read.
 */
export const readNodes = (peers: OwnPeers, node: VxlanConfig['node']): KnownNodes => {
  const where = peers.from === 'file' ? peers.path : 'peers';
  const all = parsePeers(peers, where);
  const own = node === undefined ? findOwn(all) : all.find(({ name }) => name === node);
  if (own === undefined) throw unknownNode(all, node, where);
  if (own.podCIDRs.length === 0) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `the node ${show(own.name)} in ${where} has no "podCIDRs"`,
      { details: 'Give it the prefixes of its pods, such as ["10.244.1.0/24"].' },
    );
  }
  return { own, all };
};

/** The entry with an address that this host has, else the one with the host's name. */
const findOwn = (nodes: OverlayNode[]): OverlayNode | undefined => {
  const isOwn = ({ addresses }: OverlayNode): boolean =>
    addresses.some((address) => lookUpRoute(address)?.local === true);
  return nodes.find(isOwn) ?? nodes.find(({ name }) => name === readSysctl('kernel/hostname'));
};

const parsePeers = (peers: OwnPeers, where: string): OverlayNode[] => {
  if (peers.from === 'file') return parseOverlayNodesFile(readPeersFile(peers.path), where);
  const { nodes } = peers;
  return isObject(nodes) ? parseOverlayNodes(nodes.nodes, `${where}.nodes`) : parseOverlayNodes(nodes, where);
};

const readPeersFile = (path: string): string => {
  try {
    return readFileSync(path);
  } catch (error) {
    const missing = failedWith(error, 'ENOENT', 'ENOTDIR');
    const problem = missing ? 'does not exist' : `cannot be read: ${(error as Error).message}`;
    throw new CniError(
      missing ? ErrorCode.invalidNetworkConfig : ErrorCode.ioFailure,
      `"peers" is ${show(path)}, which ${problem}`,
      {
        details:
          'It has the form { "nodes": [ { "name": …, "addresses": […], "podCIDRs": […] } ] }, on every node the same.',
        cause: error,
      },
    );
  }
};

const unknownNode = (nodes: OverlayNode[], node: string | undefined, where: string): CniError => {
  const names = nodes.map(({ name }) => name).join(', ');
  return new CniError(
    ErrorCode.invalidNetworkConfig,
    node === undefined
      ? `this node is not among those in ${where}: none has an address or the name of this host`
      : `"node" is ${show(node)}, which is not among the nodes in ${where}`,
    { details: `There are: ${show(names)}. Add this node there, or set "node" to its name.` },
  );
};
