import { CniError } from '../../shared/cni/errors.ts';
import type { IpamNode } from '../../shared/ipam/node.ts';
import { scanAttachments } from '../../shared/store/attachment-scan.ts';
import { type AttachmentRecord, attachmentsDirectory } from '../../shared/store/attachments.ts';
import { listOverlays } from '../topology/overlay-files.ts';
import type { Finding } from './finding.ts';
import { findingKinds } from './finding.ts';
import { datastoreFindings } from './findings-datastore.ts';
import { kernelFindings } from './findings-kernel.ts';
import { nodeFindings } from './findings-node.ts';
import { type LocalView, observeLocal, type RemoteView, tryRemote } from './observe.ts';
import { type KernelView, observeKernel } from './observe-kernel.ts';

/** All that can be known here of a network's addresses. */
export interface Survey {
  local: LocalView;
  /** Undefined when the datastore could not be asked. */
  remote: RemoteView | undefined;
  unreachable: CniError | undefined;
  kernel: KernelView;
  attachments: AttachmentRecord[];
  /** All nodes there are; undefined where that is not known. */
  nodes: ReadonlySet<string> | undefined;
}

/** Looks at datastore, node and kernel. Changes nothing. Throws CniError 5, 7 or 11 when the node's store cannot be read. */
export const survey = async (ipam: IpamNode, knownNodes: readonly string[] = []): Promise<Survey> => {
  // The kernel after the node: an ADD reserves before it configures. The datastore last, as it takes longest.
  const local = await observeLocal(ipam);
  const attachments = scanAttachments(attachmentsDirectory, [ipam.network]).records;
  const kernel = observeKernel([
    ...local.held.flatMap(({ netns }) => (netns === undefined || netns === '' ? [] : [netns])),
    ...attachments.map(({ netns }) => netns),
  ]);
  const remote = await tryRemote(ipam);
  const isReached = !(remote instanceof CniError);
  return {
    local,
    remote: isReached ? remote : undefined,
    unreachable: isReached ? undefined : remote,
    kernel,
    attachments,
    nodes: knownNodes.length > 0 ? new Set([...knownNodes, ipam.node]) : overlayNodes(ipam),
  };
};

/**
 * What is wrong, and stays so: pods come and go while datastore, node and kernel are looked at one after the other, so
 * that only what a second look a little later finds again counts. Throws as `survey`.
 */
export const confirmedFindings = async (
  ipam: IpamNode,
  minAgeMs: number,
  knownNodes: readonly string[] = [],
): Promise<{ seen: Survey; findings: Finding[] }> => {
  const first = await survey(ipam, knownNodes);
  const before = findingsOf(ipam, first, minAgeMs);
  if (before.length === 0) return { seen: first, findings: before };
  await Bun.sleep(betweenLooksMs);
  const seen = await survey(ipam, knownNodes);
  return { seen, findings: inBoth(before, findingsOf(ipam, seen, minAgeMs)) };
};

/** Longer than a DEL is between freeing an address and taking it off the pod. */
const betweenLooksMs = 200;

/** Those of the second look that the first had, too. */
export const inBoth = (first: readonly Finding[], second: readonly Finding[]): Finding[] => {
  const identity = ({ code, subject, leaked }: Finding) => `${code} ${subject} ${leaked?.identity ?? ''}`;
  const known = new Set(first.map(identity));
  return second.filter((finding) => known.has(identity(finding)));
};

/** What is wrong, the worst kinds first. */
export const findingsOf = (
  ipam: IpamNode,
  { local, remote, kernel, attachments, nodes }: Survey,
  minAgeMs: number,
): Finding[] => {
  const now = ipam.now();
  return [
    ...nodeFindings(ipam, local, remote, now),
    ...kernelFindings(local, { kernel, attachments, now, minAgeMs }),
    ...(remote === undefined ? [] : datastoreFindings(remote, { now, graceMs: ipam.graceMs, nodes })),
  ].sort((a, b) => findingKinds.indexOf(a.kind) - findingKinds.indexOf(b.kind));
};

/** The overlay's nodes, where this one is among them by the same name. */
const overlayNodes = ({ node }: IpamNode): ReadonlySet<string> | undefined => {
  const overlay = listOverlays().find((each) => each.node.node === node);
  return overlay && new Set([node, ...overlay.peers.map(({ name }) => name)]);
};
