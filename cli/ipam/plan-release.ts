import { heldUntil } from '../../shared/ipam/fixed.ts';
import type { IpamNode } from '../../shared/ipam/node.ts';
import { addressValue, blockValue, isOwn } from '../../shared/ipam/sync.ts';
import { formatAddress, parseAddress } from '../../shared/kernel/address-math.ts';
import type { StoredRecord } from '../../shared/store/datastore/datastore.ts';
import { isSeen } from './findings-kernel.ts';
import { named } from './findings-node.ts';
import type { HeldAddress } from './observe.ts';
import type { Survey } from './survey.ts';

/** What is to be released: one of the three. */
export interface ReleaseTarget {
  address?: string | undefined;
  /** `<namespace>/<name>` */
  pod?: string | undefined;
  node?: string | undefined;
}

export interface ReleasePlan {
  held: HeldAddress[];
  /** Records of blocks and of fixed addresses that go. */
  records: StoredRecord[];
  /** What would be broken, a sentence each; empty: nobody is harmed. */
  harms: string[];
}

/** What releasing a target means. `names` are those of pods by container id. */
export const planRelease = (
  ipam: IpamNode,
  target: ReleaseTarget,
  seen: Survey,
  names: ReadonlyMap<string, string>,
): ReleasePlan => {
  const { held, records } = matching(ipam, target, seen, names);
  const harms = [
    ...held.flatMap((each) => harmOfHeld(each, seen, names)),
    ...records.flatMap((record) => harmOfRecord(ipam, record, seen, held, target)),
  ];
  return { held, records, harms };
};

const matching = (
  ipam: IpamNode,
  { address, pod, node }: ReleaseTarget,
  { local, remote }: Survey,
  names: ReadonlyMap<string, string>,
): Pick<ReleasePlan, 'held' | 'records'> => {
  const addresses = remote?.addresses ?? [];
  if (node !== undefined) {
    const ofNode = ({ value }: StoredRecord) => value.node === node;
    // What is only kept was last there, and is for whoever has the key, on any node.
    const inUse = addresses.filter(
      (record) => ofNode(record) && addressValue(record).containerId !== undefined,
    );
    return {
      held: node === ipam.node ? local.held : [],
      records: [...(remote?.blocks ?? []).filter(ofNode), ...inUse],
    };
  }
  if (pod !== undefined) {
    const held = local.held.filter(({ containerId }) => names.get(containerId) === pod);
    return { held, records: addresses.filter((record) => isOfPod(addressValue(record), pod)) };
  }
  const parsed = parseAddress(address ?? '');
  const text = parsed && formatAddress(parsed);
  return {
    held: local.held.filter((each) => each.address === text),
    records: addresses.filter((record) => addressValue(record).address === text),
  };
};

const isOfPod = ({ pod, key, network }: ReturnType<typeof addressValue>, name: string): boolean =>
  pod === name || key?.startsWith(`${network}/${name}/`) === true;

const harmOfHeld = (held: HeldAddress, { kernel }: Survey, names: ReadonlyMap<string, string>): string[] => {
  const { address, containerId, ifname, netns, isStale } = held;
  const who = `${names.has(containerId) ? `pod ${names.get(containerId)}, ` : ''}container ${named(containerId, ifname)}`;
  const place = netns === undefined ? 'unknown' : kernel.places.get(netns);
  if (isSeen(address, kernel))
    return [`${who} uses ${address}: another pod can get the same address, and both lose traffic.`];
  if (isStale || place === 'gone') return [];
  return [
    netns === undefined || place === 'unknown' || place === 'file'
      ? `${who} holds ${address}, and whether it lives is not known: if it does, another pod can get the same address.`
      : `${who} holds ${address}, and its netns ${netns} is there: its ADD may be at work, or it uses the address in a way that is not seen.`,
  ];
};

const harmOfRecord = (
  ipam: IpamNode,
  record: StoredRecord,
  { local, nodes }: Survey,
  held: readonly HeldAddress[],
  target: ReleaseTarget,
): string[] => {
  if (record.path.startsWith('blocks/')) return harmOfBlock(ipam, record, local.held.length, nodes);
  const value = addressValue(record);
  const { address, key, containerId, node, pod } = value;
  if (containerId === undefined) {
    if (heldUntil(value) <= ipam.now()) return [];
    return [
      `${address} is kept for ${key ?? 'nobody'} until ${new Date(heldUntil(value)).toISOString()}: when that pod comes back, it gets another address.`,
    ];
  }
  // What the node itself says of its own is told already; a node that is released as a whole is told by its blocks.
  if (held.some((each) => each.address === address) || isGone(ipam, value, nodes)) return [];
  if (isOwn(ipam, record)) return [];
  if (target.node !== undefined && node === ipam.node) return [];
  return [
    `${pod === undefined ? '' : `pod ${pod}, `}container ${containerId} on node ${node} has ${address}: another pod can get the same address, and both lose traffic.`,
  ];
};

const harmOfBlock = (
  ipam: IpamNode,
  record: StoredRecord,
  heldHere: number,
  nodes: Survey['nodes'],
): string[] => {
  const { cidr, node } = blockValue(record);
  if (isGone(ipam, blockValue(record), nodes)) return [];
  if (isOwn(ipam, record) && heldHere === 0) return [];
  const reason = isOwn(ipam, record)
    ? `${heldHere === 1 ? 'an address is' : `${heldHere} addresses are`} held here`
    : nodes?.has(node) === true
      ? 'the node is there'
      : 'the node is not known to be gone for long enough';
  return [
    `block ${cidr} is of node ${node}, and ${reason}: another node can claim it, and give addresses that pods of ${node} have.`,
  ];
};

/** Marked for longer than the grace time, and not seen by anybody here: the agents would reclaim it, too. */
const isGone = (
  { graceMs, now }: IpamNode,
  { node, missingSince }: { node: string; missingSince?: string },
  nodes: Survey['nodes'],
): boolean =>
  missingSince !== undefined && now() - Date.parse(missingSince) > graceMs && nodes?.has(node) !== true;
