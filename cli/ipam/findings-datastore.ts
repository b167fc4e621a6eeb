import { heldUntil } from '../../shared/ipam/fixed.ts';
import type { Pool } from '../../shared/ipam/pool.ts';
import { spanOf, spansOverlap } from '../../shared/ipam/ranges.ts';
import { addressValue, blockCidr, blockValue } from '../../shared/ipam/sync.ts';
import { parseAddress } from '../../shared/kernel/address-math.ts';
import type { StoredRecord } from '../../shared/store/datastore/datastore.ts';
import { spanHolds } from '../../shared/store/reservations/spans.ts';
import { type Finding, gcCommand } from './finding.ts';
import type { RemoteView } from './observe.ts';

/** What else decides about the datastore's records. */
export interface ClusterKnowledge {
  /** The time, in ms since 1970. */
  now: number;
  /** How long, in ms, a node must be gone before its blocks are reclaimed. */
  graceMs: number;
  /** All nodes there are; undefined where that is not known. */
  nodes: ReadonlySet<string> | undefined;
}

/** What is wrong with the datastore alone: it concerns all nodes, and every one of them sees it. */
export const datastoreFindings = (remote: RemoteView, cluster: ClusterKnowledge): Finding[] => [
  ...refusedPools(remote),
  ...unreadable(remote),
  ...overlaps(remote),
  ...misplacedBlocks(remote),
  ...misplacedAddresses(remote),
  ...sharedKeys(remote),
  ...ofLostNodes(remote, cluster),
  ...overdueHolds(remote, cluster),
];

const refusedPools = ({ refused }: RemoteView): Finding[] =>
  refused.map(({ name, error }) => ({
    kind: 'difference',
    code: 'pool-refused',
    subject: name,
    what: `pool ${name} is left out: ${error.message}`,
    meaning: 'No address of it is given, and nodes return their empty blocks of it.',
    remedy: `Correct the pool. ${error.details ?? ''}`.trimEnd(),
    gc: false,
  }));

const unreadable = ({ blocks, addresses }: RemoteView): Finding[] =>
  [
    ...blocks.filter((record) => blockCidr(record) === undefined),
    ...addresses.filter((record) => addressOf(record) === undefined),
  ].map(({ path }) => ({
    kind: 'orphan',
    code: 'unreadable-record',
    subject: path,
    what: `the record ${path} is none that podwire wrote`,
    meaning: 'Nobody takes notice of it, so that what it stands for may be given to somebody.',
    remedy: 'Look who made it, and remove it from the datastore.',
    gc: false,
  }));

/** Every block that overlaps one which begins before it, or with it and is wider. */
const overlaps = ({ blocks }: RemoteView): Finding[] => {
  const spans = blocks.flatMap((record) => {
    const cidr = blockCidr(record);
    return cidr === undefined ? [] : [{ span: spanOf(cidr), value: blockValue(record) }];
  });
  spans.sort(
    ({ span: a }, { span: b }) =>
      a.family - b.family ||
      (a.first < b.first ? -1 : a.first > b.first ? 1 : 0) ||
      (a.last > b.last ? -1 : a.last < b.last ? 1 : 0),
  );
  let widest = spans[0];
  return spans.slice(1).flatMap((each): Finding[] => {
    const before = widest;
    if (before === undefined || !spansOverlap(before.span, each.span)) {
      widest = each;
      return [];
    }
    if (each.span.last > before.span.last) widest = each;
    return [
      {
        kind: 'duplicate',
        code: 'overlapping-blocks',
        subject: each.value.cidr,
        what: `block ${each.value.cidr} of node ${each.value.node} overlaps ${before.value.cidr} of node ${before.value.node}`,
        meaning:
          'Both nodes give the same addresses. It comes of a block size that was changed while blocks were claimed, or of edits.',
        remedy: `Drain one of the nodes, then call "${gcCommand}" on it, or "podwire ipam release --node" once it is gone.`,
        gc: false,
      },
    ];
  });
};

const misplacedBlocks = ({ blocks, pools, refused }: RemoteView): Finding[] =>
  blocks.flatMap((record): Finding[] => {
    const block = blockCidr(record);
    if (block === undefined) return [];
    const { cidr, node, pool: name } = blockValue(record);
    const pool = pools.find((candidate) => candidate.name === name);
    if (pool === undefined) {
      if (refused.some((each) => each.name === name)) return [];
      return [
        {
          kind: 'orphan',
          code: 'block-of-unknown-pool',
          subject: cidr,
          what: `block ${cidr} of node ${node} is of pool ${name}, which is not there`,
          meaning:
            'Its addresses stay with their pods, no more are given, and the node returns it when it is empty.',
          remedy: 'Put the pool back to give more of it, or wait until its pods are gone.',
          gc: false,
        },
      ];
    }
    const [inner, outer] = [spanOf(block), spanOf(pool.cidr)];
    if (inner.family === outer.family && inner.first >= outer.first && inner.last <= outer.last) return [];
    return [
      {
        kind: 'outside',
        code: 'block-outside-pool',
        subject: cidr,
        what: `block ${cidr} of node ${node} is not within pool ${name}`,
        meaning:
          'The pool was made smaller or moved. What lies outside of it is given no more; pods keep what they have.',
        remedy: `Restart the pods that have addresses of it; then "${gcCommand}" on ${node} returns the block.`,
        gc: false,
      },
    ];
  });

const misplacedAddresses = ({ addresses, pools }: RemoteView): Finding[] =>
  addresses.flatMap((record): Finding[] => {
    const address = addressOf(record);
    if (address === undefined || isInPools(pools, address)) return [];
    const { address: text, pool, key, containerId } = addressValue(record);
    return [
      {
        kind: 'outside',
        code: 'fixed-address-outside-pools',
        subject: text,
        what: `${text} is ${containerId === undefined ? `kept for ${key ?? 'nobody'}` : `fixed for container ${containerId}`}, and no pool has it; it was of pool ${pool}`,
        meaning: 'Its pod keeps it as long as it runs, but does not get it again.',
        remedy: `podwire ipam release ${text}, or put the pool back.`,
        gc: false,
      },
    ];
  });

/** A key has one address of a family; a pod that came back would get either of two. */
const sharedKeys = ({ addresses }: RemoteView): Finding[] => {
  const keyed = addresses.map(addressValue).filter(({ key }) => key !== undefined);
  const groups = Map.groupBy(keyed, ({ key, address }) => `${key} ${address.includes(':') ? 6 : 4}`);
  return [...groups.values()].flatMap(([first, ...others]) =>
    others.map(({ address, key }) => ({
      kind: 'duplicate' as const,
      code: 'key-has-two',
      subject: address,
      what: `${address} is kept for ${key}, as ${first?.address} is`,
      meaning: 'The pod gets one of them when it comes back; the other is lost to everybody.',
      remedy: `podwire ipam release ${address}, or the other one, whichever the pod does not have.`,
      gc: false,
    })),
  );
};

const ofLostNodes = (
  { blocks, addresses }: RemoteView,
  { now, graceMs, nodes }: ClusterKnowledge,
): Finding[] =>
  [...blocks, ...addresses].flatMap((record): Finding[] => {
    const isBlock = record.path.startsWith('blocks/');
    const { node, missingSince } = isBlock ? blockValue(record) : addressValue(record);
    if (!isBlock && addressValue(record).containerId === undefined) return [];
    if (missingSince === undefined && (nodes === undefined || nodes.has(node))) return [];
    const subject = isBlock ? blockValue(record).cidr : addressValue(record).address;
    if (subject === undefined) return [];
    const since = missingSince === undefined ? Number.NaN : Date.parse(missingSince);
    return [
      {
        kind: 'orphan',
        code: missingSince === undefined ? 'unknown-node' : 'node-gone',
        subject,
        what: `${isBlock ? 'block' : 'address'} ${subject} is of node ${node}, which ${missingSince === undefined ? 'is not among the nodes known here' : `is gone since ${missingSince}`}`,
        meaning: Number.isNaN(since)
          ? 'Nobody else can have it. The agents mark it when they miss the node, and reclaim it after the grace time.'
          : now - since > graceMs
            ? 'Its grace time is over: the next agent that looks reclaims it.'
            : `Its grace time ends at ${new Date(since + graceMs).toISOString()}; then an agent reclaims it, unless the node comes back.`,
        remedy: `podwire ipam release --node ${node}, once it is certain that the node does not come back.`,
        gc: false,
      },
    ];
  });

/** Agents end holds now and then; what is over for longer shows that none does. */
const overdueMs = 600_000;

const overdueHolds = ({ addresses }: RemoteView, { now }: ClusterKnowledge): Finding[] =>
  addresses.flatMap((record): Finding[] => {
    const value = addressValue(record);
    if (value.containerId !== undefined || value.isPending === true || heldUntil(value) + overdueMs > now)
      return [];
    return [
      {
        kind: 'leak',
        code: 'hold-over',
        subject: value.address,
        what: `${value.address} was kept for ${value.key ?? 'nobody'} until ${new Date(heldUntil(value)).toISOString()}`,
        meaning: 'It is free for who asks for it, but given to nobody who does not.',
        remedy: `${gcCommand}, or let an agent run: it ends holds that are over.`,
        gc: true,
      },
    ];
  });

const addressOf = ({ value }: StoredRecord) =>
  typeof value.address === 'string' ? parseAddress(value.address) : undefined;

export const isInPools = (
  pools: readonly Pool[],
  address: NonNullable<ReturnType<typeof parseAddress>>,
): boolean => pools.some(({ cidr }) => spanHolds(spanOf(cidr), address));
