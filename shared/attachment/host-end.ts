import { type LinkState, readLink } from '../kernel/link.ts';

/**
 * The host end of a pod's veth: both ends name each other's index. Indexes alone prove nothing, as the
 * pod's interface may have its peer in any other netns. Undefined when the host has no such interface.
 */
export const hostEndOf = (pod: LinkState): LinkState | undefined => {
  const host = pod.peerIndex === undefined ? undefined : readLink(pod.peerIndex);
  return pod.kind === 'veth' && host?.kind === 'veth' && host.peerIndex === pod.index ? host : undefined;
};
