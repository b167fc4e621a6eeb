import { hostname } from 'node:os';
import { type LinkState, listLinks } from '../../shared/kernel/link.ts';
import { checkVtep } from '../../shared/overlay/check.ts';
import { readEntries } from '../../shared/overlay/read.ts';
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
  return {
    version: 1,
    nodes: [
      {
        name: states[0]?.node.node ?? hostname(),
        overlays: states.map(({ node, peers }) => observeOverlay(node, peers, links)),
        pods: observePods(links),
      },
    ],
  };
};

const observeOverlay = (node: NodeState, peers: PeerState[], links: LinkState[]): TopologyOverlay => {
  const indexOf = (device: string): number | undefined => links.find(({ name }) => name === device)?.index;
  const vtep = indexOf(node.device);
  return compareWithKernel(node, peers, {
    ...readEntries(vtep),
    vtepProblems: checkVtep(node),
    vtep,
    underlay: indexOf(node.underlay.device),
  });
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
