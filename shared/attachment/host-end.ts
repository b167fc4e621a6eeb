import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Owner } from '../filter/owner.ts';
import { type LinkState, readLink } from '../kernel/link.ts';
import { deleteLink } from './delete-link.ts';
import { hostInterfaceAlias, hostInterfaceName } from './host-interface-name.ts';

/**
 * The host end of a pod's veth: both ends name each other's index. Indexes alone prove nothing, as the
 * pod's interface may have its peer in any other netns. Undefined when the host has no such interface.
 */
export const hostEndOf = (pod: LinkState): LinkState | undefined => {
  const host = pod.peerIndex === undefined ? undefined : readLink(pod.peerIndex);
  return pod.kind === 'veth' && host?.kind === 'veth' && host.peerIndex === pod.index ? host : undefined;
};

/**
 * Whether the host has this attachment's host end: for an ADD, what an interrupted one left. The alias
 * tells; one that names another owner is two attachments with one hash.
 */
export const hasHostEnd = (owner: Owner): boolean => {
  const link = readLink(hostInterfaceName(owner));
  // Without an alias, a kill came between the two lines that make the link and set it.
  return link?.kind === 'veth' && (link.alias === undefined || link.alias === hostInterfaceAlias(owner));
};

/** As `hasHostEnd`; throws CniError 103 when something else has the name: it must not go. */
export const requireHostInterfaceName = (owner: Owner): boolean => {
  if (hasHostEnd(owner)) return true;
  const name = hostInterfaceName(owner);
  const link = readLink(name);
  if (link === undefined) return false;
  throw new CniError(
    ErrorCode.conflict,
    `the host interface "${name}" belongs to ${link.alias ?? 'something else'}`,
    {
      details: 'Remove it if it is not in use, or give the container another id.',
    },
  );
};

/**
 * Removes the host end that an interrupted ADD of this attachment left. A command of its own, as the kernel
 * may be about to remove it, too: it does so some time after the pod's netns ended. Throws as
 * `requireHostInterfaceName`.
 */
export const removeLeftHostEnd = async (owner: Owner): Promise<void> => {
  if (requireHostInterfaceName(owner)) await deleteLink(hostInterfaceName(owner));
};
