import type { Owner } from '../filter/owner.ts';
import { withLock } from '../store/lock.ts';
import { claimedPorts, readClaims, removeUnfinished, writeClaims } from './claim-files.ts';
import type { PortBinding } from './mapping.ts';

/** Who has a port of the node, or waits for it. */
export interface PortClaim extends Owner {
  /** `4`, `6`: any address of that family; else a host address. */
  slot: string;
  /** CNI_NETNS of the ADD, and the inode of that namespace; 0 where none was found. */
  netns: string;
  inode: number;
  links: HostEnd[];
  /** Another attachment of the same container has the port: this one gets it when that one goes. */
  waiting: boolean;
}

/** The host's end of a veth of the container. */
export interface HostEnd {
  name: string;
  /** 0 when it is not made yet. */
  index: number;
}

export interface ClaimOutcome {
  /** Claims of other containers in the way: then nothing was claimed. */
  rivals: { claim: PortClaim; binding: PortBinding }[];
  /** The bindings that are now the claimant's. */
  granted: PortBinding[];
}

// The packet filter alone cannot tell: two backends do not see each other, and in a map of addresses and
// ports a wildcard is no conflict. In /run, as the rules do not outlive a reboot either.
const stateDirectory = '/run/podwire';

/**
 * Claims ports for an attachment, all or none: a file for each protocol and port says who has it, so that
 * the cost does not depend on how many are taken. Any address and a certain one are in each other's way,
 * two certain ones are not, and another attachment of the same container is no rival but goes first. Throws
 * CniError 11 when the lock is not to be had, 5 when a file can't be written, and what `checkpoint` throws.
 */
export const claimPorts = (
  claimant: Omit<PortClaim, 'slot' | 'waiting'>,
  bindings: readonly PortBinding[],
  { root = stateDirectory, checkpoint }: { root?: string; checkpoint?: () => Promise<void> } = {},
): Promise<ClaimOutcome> =>
  withLock(
    lockFile(root),
    () => {
      const ports = new Map(bindings.map(portName).map((port) => [port, readClaims(root, port)]));
      const others = (binding: PortBinding): PortClaim[] =>
        (ports.get(portName(binding)) ?? []).filter(
          (claim) => !isOwners(claim, claimant) && overlap(claim.slot, slotOf(binding)),
        );
      const rivals = bindings.flatMap((binding) =>
        others(binding)
          .filter(({ containerId, waiting }) => containerId !== claimant.containerId && !waiting)
          .map((claim) => ({ claim, binding })),
      );
      if (rivals.length > 0) return { rivals, granted: [] };
      const granted = bindings.filter((binding) => others(binding).every(({ waiting }) => waiting));
      for (const [name, claims] of ports) {
        const own = bindings
          .filter((binding) => portName(binding) === name)
          .map((binding) => ({ ...claimant, slot: slotOf(binding), waiting: !granted.includes(binding) }));
        writeClaims(root, name, [...claims.filter((claim) => !isOwners(claim, claimant)), ...own]);
      }
      return { rivals, granted };
    },
    { checkpoint },
  );

/**
 * Gives up an attachment's claims: on `bindings`, or on all ports. Returns whose turn it is now: other
 * attachments of the same container. Throws CniError 11 or 5.
 */
export const releasePorts = async (
  owner: Owner,
  bindings?: readonly PortBinding[],
  root = stateDirectory,
): Promise<Owner[]> => {
  const ports = bindings === undefined ? claimedPorts(root) : [...new Set(bindings.map(portName))];
  const released = await dropClaims(root, ports, (claim) => isOwners(claim, owner));
  return released.filter((heir, index) => released.findIndex((other) => isOwners(other, heir)) === index);
};

/** Gives up the claims of a network's attachments that are not in `keep`. Throws CniError 11 or 5. */
export const collectClaims = async (
  network: string,
  keep: readonly { containerID: string; ifname: string }[],
  root = stateDirectory,
): Promise<void> => {
  await dropClaims(
    root,
    claimedPorts(root),
    (claim) =>
      claim.network === network &&
      !keep.some(({ containerID, ifname }) => containerID === claim.containerId && ifname === claim.ifname),
  );
};

/** Takes the claims that match out of the files; returns those who waited for them. */
const dropClaims = async (
  root: string,
  ports: readonly string[],
  matches: (claim: PortClaim) => boolean,
): Promise<PortClaim[]> => {
  if (ports.length === 0) return [];
  return withLock(lockFile(root), () =>
    ports.flatMap((port) => {
      removeUnfinished(root, port);
      const claims = readClaims(root, port);
      const kept = claims.filter((claim) => !matches(claim));
      if (kept.length === claims.length) return [];
      writeClaims(root, port, kept);
      const freed = claims.filter((claim) => matches(claim) && !claim.waiting);
      return kept.filter(({ waiting, slot }) => waiting && freed.some((claim) => overlap(claim.slot, slot)));
    }),
  );
};

const lockFile = (root: string): string => `${root}/locks/ports`;

const portName = ({ protocol, hostPort }: PortBinding): string => `${protocol}-${hostPort}`;

const slotOf = ({ family, hostAddress }: PortBinding): string => hostAddress ?? String(family);

const overlap = (first: string, second: string): boolean => {
  const families = [first, second].map((slot) => (slot === '6' || slot.includes(':') ? 6 : 4));
  return families[0] === families[1] && (first === second || isAny(first) || isAny(second));
};

const isAny = (slot: string): boolean => slot === '4' || slot === '6';

const isOwners = (claim: Owner, { network, containerId, ifname }: Owner): boolean =>
  claim.network === network && claim.containerId === containerId && claim.ifname === ifname;
