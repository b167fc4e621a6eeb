import { CniError, ErrorCode } from '../cni/errors.ts';
import { waitForLink } from '../kernel/link.ts';
import { openNetnsIfPresent } from '../kernel/netns.ts';
import type { PortClaim } from './claims.ts';
import { describeBinding, type PortBinding } from './mapping.ts';

/** The inode of a network namespace, 0 when the path leads to none. */
export const netnsInode = (path: string): number => {
  const netns = openNetnsIfPresent(path);
  netns?.close();
  return netns?.inode ?? 0;
};

/**
 * Whether the container that claimed a port is gone without a DEL. Where it had veths, they tell, by the
 * kernel's indexes, which are not used again (inodes of namespaces are, at once); the kernel takes them away
 * some ms after the namespace. Else its namespace is not where it was. In doubt it lives.
 */
export const isHolderGone = ({ netns, inode, links }: PortClaim): boolean => {
  const isNetnsGone = isOtherNetns(netns, inode);
  if (links.length === 0) return isNetnsGone;
  const deadlineMs = isNetnsGone ? LINK_REMOVAL_MS : 0;
  return links.every(
    ({ name, index }) =>
      // One that was not made yet when the port was claimed may be about to come.
      (index !== 0 || isNetnsGone) &&
      waitForLink(index === 0 ? name : index, (link) => link === undefined, deadlineMs),
  );
};

const LINK_REMOVAL_MS = 1000;

/** Whether a path no longer leads to the namespace of that inode. */
const isOtherNetns = (path: string, inode: number): boolean => {
  if (inode === 0) return false;
  try {
    return netnsInode(path) !== inode;
  } catch {
    return false;
  }
};

/** The error for a port that another, living container has. */
export const portTaken = ({ claim, binding }: { claim: PortClaim; binding: PortBinding }): CniError =>
  new CniError(
    ErrorCode.conflict,
    `${describeBinding(binding)} is taken by container "${claim.containerId}" of network "${claim.network}" (interface "${claim.ifname}")`,
    {
      details: `It has it with hostIP ${hostIpOf(claim)}, and its namespace is ${claim.netns}. Delete that container, or use another hostPort or hostIP.`,
    },
  );

const hostIpOf = ({ slot }: PortClaim): string => {
  if (slot === '4') return '0.0.0.0 (any IPv4 address)';
  return slot === '6' ? ':: (any IPv6 address)' : slot;
};
