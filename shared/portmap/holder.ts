import { CniError, ErrorCode } from '../cni/errors.ts';
import { waitForLink } from '../kernel/link.ts';
import { type Netns, openNetnsIfPresent } from '../kernel/netns.ts';
import type { PortClaim } from './claims.ts';
import { describeBinding, type PortBinding } from './mapping.ts';

/** The inode of a network namespace, 0 when the path leads to none. */
export const netnsInode = (path: string): number => {
  const netns = openNetnsIfPresent(path);
  netns?.close();
  return netns?.inode ?? 0;
};

/**
 * Whether the container that claimed a port is gone without a DEL: its namespace is not where it was, and
 * the host ends of its veths are gone, which the kernel sees to some ms later. In doubt it lives.
 */
export const isHolderGone = ({ netns, inode, links }: PortClaim): boolean => {
  if (inode === 0 && links.length === 0) return false;
  let present: Netns | undefined;
  try {
    present = openNetnsIfPresent(netns);
  } catch {
    return false;
  }
  present?.close();
  if (present !== undefined && (inode === 0 || present.inode === inode)) return false;
  return links.every((name) => waitForLink(name, (link) => link === undefined, LINK_REMOVAL_MS));
};

/** The kernel takes a namespace's links away in the background. */
const LINK_REMOVAL_MS = 1000;

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
