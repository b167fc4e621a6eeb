import { hostname } from 'node:os';
import { readAddresses } from '../../shared/kernel/address.ts';
import { type LinkState, listLinks } from '../../shared/kernel/link.ts';
import { type RouteState, readRoutes } from '../../shared/kernel/route.ts';
import type { NodeState, PeerState } from '../../shared/overlay/types.ts';
import { scanAttachments } from '../../shared/store/attachment-scan.ts';
import { attachmentsDirectory } from '../../shared/store/attachments.ts';
import { compareWithKernel } from './compare.ts';
import type { Topology, TopologyOverlay, TopologyPod } from './model.ts';
import { listOverlays } from './overlay-files.ts';

/**
 * This node now: what the last sync and the plugins wrote down, and what the kernel has of it. Changes
 * nothing. Throws CniError 5 when the records or states can't be read.
 */
export const observeNode = (): Topology => {
  const links = listLinks();
  const states = listOverlays();
  const routes = states.length === 0 ? [] : [...readRoutes(4), ...readRoutes(6)];
  return {
    version: 1,
    nodes: [
      {
        name: states[0]?.node.node ?? hostname(),
        overlays: states.map(({ node, peers }) => observeOverlay(node, peers, links, routes)),
        pods: observePods(links),
      },
    ],
  };
};

const observeOverlay = (
  node: NodeState,
  peers: PeerState[],
  links: LinkState[],
  routes: RouteState[],
): TopologyOverlay => {
  const vtep = links.find(({ name }) => name === node.device);
  const addresses =
    vtep === undefined
      ? []
      : readAddresses(vtep.index).map(({ address, prefixLength }) => `${address}/${prefixLength}`);
  return compareWithKernel(node, peers, { links, routes, vtepAddresses: addresses });
};

const observePods = (links: LinkState[]): TopologyPod[] => {
  const present = new Map(links.map((link) => [link.name, link]));
  return scanAttachments(attachmentsDirectory).records.map(
    ({ containerId, network, plugin, ifname, hostInterface, addresses }) => ({
      containerId,
      network,
      plugin,
      interface: ifname,
      ...(hostInterface === undefined ? {} : { hostInterface }),
      addresses: addresses.map(({ address }) => address),
      problems: hostInterface === undefined ? [] : linkProblems(hostInterface, present.get(hostInterface)),
    }),
  );
};

const linkProblems = (name: string, link: LinkState | undefined): string[] => {
  if (link === undefined) return [`its host interface ${name} is gone`];
  return link.up ? [] : [`its host interface ${name} is down`];
};
