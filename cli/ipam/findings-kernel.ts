import { unusableOf } from '../../shared/ipam/pool.ts';
import { isInOwnBlock } from '../../shared/ipam/sync.ts';
import { parseAddress } from '../../shared/kernel/address-math.ts';
import type { AttachmentRecord } from '../../shared/store/attachments.ts';
import { spanHolds } from '../../shared/store/reservations/spans.ts';
import { type Finding, gcCommand } from './finding.ts';
import { named } from './findings-node.ts';
import type { HeldAddress, LocalView } from './observe.ts';
import type { KernelView } from './observe-kernel.ts';

export interface KernelContext {
  kernel: KernelView;
  /** Those of the network. */
  attachments: readonly AttachmentRecord[];
  /** The time, in ms since 1970. */
  now: number;
  /** An address that was taken less than so many ms ago may be one of an ADD that is at work. */
  minAgeMs: number;
}

/** What is wrong between the addresses that this node says are held and those that the kernel has. */
export const kernelFindings = (local: LocalView, context: KernelContext): Finding[] => [
  ...local.held.flatMap((each) => ofHeld(each, local, context)),
  ...notHeld(local, context),
  ...routesToNobody(local, context),
];

const ofHeld = (held: HeldAddress, local: LocalView, context: KernelContext): Finding[] => {
  const { kernel } = context;
  if (held.isStale) return isSeen(held.address, kernel) ? [] : [earlierBoot(held)];
  const places = kernel.found.filter(({ address }) => address === held.address);
  const inodes = new Set(places.map(({ inode }) => inode));
  const own = held.netns === undefined ? undefined : kernel.places.get(held.netns);
  if (inodes.size > 1) return [twice(held, places)];
  const [place] = places;
  if (place !== undefined) {
    return typeof own === 'number' && own !== place.inode ? [elsewhere(held, place, local, context)] : [];
  }
  if (own === 'gone' || own === 'file') return [netnsGone(held, context)];
  const isYoung = context.now - madeAt(held) < context.minAgeMs;
  return typeof own === 'number' && !isYoung && !isSeen(held.address, kernel) ? [unused(held)] : [];
};

const earlierBoot = (held: HeldAddress): Finding => ({
  kind: 'leak',
  code: 'earlier-boot',
  subject: held.address,
  what: `${held.address} is held by container ${named(held.containerId, held.ifname)} of an earlier boot`,
  meaning: 'No netns outlives a reboot. It is given again when the blocks of this node are full.',
  remedy: `${gcCommand} frees it now.`,
  gc: true,
  leaked: held,
});

const netnsGone = (held: HeldAddress, { kernel, attachments }: KernelContext): Finding => {
  const netns = held.netns ?? '';
  const device = livingDevice(held, attachments, kernel);
  const what = `${held.address} is held by container ${named(held.containerId, held.ifname)}, whose netns ${netns} is gone`;
  const base = { kind: 'leak', code: 'netns-gone', subject: held.address } as const;
  const doubt = isSeen(held.address, kernel)
    ? 'but the address is in the netns of a process'
    : device !== undefined
      ? `but the host has its interface ${device}`
      : kernel.hostRoutes.some(({ address }) => address === held.address)
        ? 'but the host has a route to it'
        : kernel.places.get(netns) === 'file'
          ? 'but a file is in its place, which may be a netns that is not seen from here'
          : // A process id is only what the processes that are seen here say.
            netns.startsWith('/proc/')
            ? 'but only a process led to it'
            : undefined;
  if (doubt === undefined) {
    return {
      ...base,
      what,
      meaning: 'The container ended without a DEL. Nothing here has the address any more.',
      remedy: `${gcCommand} frees it; the runtime's DEL or GC does, too.`,
      gc: true,
      leaked: held,
    };
  }
  return {
    ...base,
    what: `${what}, ${doubt}`,
    meaning: 'The container may live.',
    remedy: `podwire ipam release ${held.address} --force, once it is certain that nothing uses it.`,
    gc: false,
  };
};

const unused = (held: HeldAddress): Finding => ({
  kind: 'leak',
  code: 'unused',
  subject: held.address,
  what: `${held.address} is held by container ${named(held.containerId, held.ifname)}, but its netns ${held.netns} does not have it`,
  meaning:
    'An ADD was killed, or somebody took the address or the interface away. The pod, if there is one, has no network.',
  remedy: `Restart the pod: its DEL frees the address. Or: podwire ipam release ${held.address}`,
  gc: false,
});

const twice = (held: HeldAddress, places: KernelView['found']): Finding => ({
  kind: 'duplicate',
  code: 'in-two-netns',
  subject: held.address,
  what: `${held.address} is in ${places.map(({ netns, ifname }) => `${netns} (${ifname})`).join(' and ')}`,
  meaning: `Container ${named(held.containerId, held.ifname)} holds it; who else has it takes its traffic.`,
  remedy: `Restart the pod that is not the holder's; its netns is not ${held.netns ?? 'known'}.`,
  gc: false,
});

const elsewhere = (
  held: HeldAddress,
  place: KernelView['found'][number],
  { held: all }: LocalView,
  { attachments, kernel }: KernelContext,
): Finding => {
  const other = [...attachments, ...all].find(
    ({ netns, containerId }) =>
      containerId !== held.containerId && netns !== undefined && kernel.places.get(netns) === place.inode,
  );
  return {
    kind: 'duplicate',
    code: 'in-another-netns',
    subject: held.address,
    what: `${held.address} is held by container ${named(held.containerId, held.ifname)}, but ${place.netns} (${place.ifname}${other === undefined ? '' : ` of container ${other.containerId}`}) has it`,
    meaning: 'The holder does not have its address, and another has it that nobody gave it to.',
    remedy: 'Restart both pods.',
    gc: false,
  };
};

/** Addresses of this node's blocks that pods have, and nobody holds: the next ADD may give them. */
const notHeld = (local: LocalView, { kernel }: KernelContext): Finding[] => {
  const held = new Set(local.held.map(({ address }) => address));
  return kernel.found.flatMap(({ address, netns, ifname }): Finding[] => {
    if (held.has(address) || !isGivenHere(local, address)) return [];
    return [
      {
        kind: 'duplicate',
        code: 'not-held',
        subject: address,
        what: `${netns} (${ifname}) has ${address}, which nobody holds`,
        meaning: 'It was released while in use, or set by hand: the next pod can get it, too.',
        remedy: 'Restart the pod, or remove the address.',
        gc: false,
      },
    ];
  });
};

const routesToNobody = (local: LocalView, { kernel }: KernelContext): Finding[] => {
  const known = new Set([
    ...local.held.map(({ address }) => address),
    ...kernel.found.map(({ address }) => address),
  ]);
  return kernel.hostRoutes.flatMap(({ address, device }): Finding[] => {
    if (known.has(address) || !isGivenHere(local, address)) return [];
    return [
      {
        kind: 'orphan',
        code: 'route-to-nobody',
        subject: address,
        what: `the host has a route to ${address} over ${device}, and nobody holds the address`,
        meaning: 'When another pod gets the address, its traffic goes to the wrong device.',
        remedy: `ip route del ${address} dev ${device}, or the runtime's GC, which removes interfaces of containers that are gone.`,
        gc: false,
      },
    ];
  });
};

/** In a block of this node, and one that a pod can get: no gateway. */
const isGivenHere = ({ state, pools }: LocalView, text: string): boolean => {
  const address = parseAddress(text);
  return (
    address !== undefined &&
    isInOwnBlock(state, text) &&
    !pools.some((pool) => unusableOf(pool).some((span) => spanHolds(span, address)))
  );
};

export const isSeen = (address: string, { found, elsewhere: others }: KernelView): boolean =>
  others.has(address) || found.some((each) => each.address === address);

/** The host interface of a container whose record is there, as long as the host has it. */
const livingDevice = (
  { containerId, ifname }: HeldAddress,
  attachments: readonly AttachmentRecord[],
  { devices }: KernelView,
): string | undefined =>
  attachments.find(
    (record) =>
      record.containerId === containerId &&
      record.ifname === ifname &&
      record.hostInterface !== undefined &&
      devices.has(record.hostInterface),
  )?.hostInterface;

/** When its file was made, in ms since 1970. */
const madeAt = ({ identity }: HeldAddress): number => Number(identity.split(':')[1] ?? 0) / 1e6;
