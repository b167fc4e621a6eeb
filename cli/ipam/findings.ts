import type { IpamNode } from '../../shared/ipam/node.ts';
import { spanOf, spansOverlap } from '../../shared/ipam/ranges.ts';
import { addressValue, blockCidr, blockValue, isOwn, isStillOurs } from '../../shared/ipam/sync.ts';
import { parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { spanHolds } from '../../shared/store/reservations/spans.ts';
import type { LocalView, RemoteView } from './observe.ts';

export interface Finding {
  /** `leak`: held by nobody alive. `duplicate`: had by two. `orphan`: belongs to nothing known. */
  kind: 'leak' | 'duplicate' | 'orphan' | 'difference';
  what: string;
  /** What to do about it. */
  advice: string;
}

/** What is wrong between datastore, node and kernel. Without `remote`, what the node alone shows. */
export const findingsOf = (ipam: IpamNode, local: LocalView, remote: RemoteView | undefined): Finding[] => [
  ...leaks(local),
  ...lost(local),
  ...(remote === undefined
    ? []
    : [...overlaps(remote), ...unknownPools(remote), ...differences(ipam, local, remote)]),
  ...(remote === undefined ? [] : orphans(ipam, local, remote)),
];

const leaks = ({ held }: LocalView): Finding[] =>
  held
    .filter((each) => each.isStale || each.isNetnsGone === true)
    .map(({ address, containerId, ifname, isStale, netns }) => ({
      kind: 'leak',
      what: `${address} is held by container ${containerId} ${ifname}, ${isStale ? 'of an earlier boot' : `whose netns ${netns} is gone`}`,
      advice: isStale
        ? 'It is given again when the blocks of this node are full.'
        : 'DEL the container, or call GC; else: podwire ipam release.',
    }));

/** Addresses in use whose block is another's by now. */
const lost = ({ held, state }: LocalView): Finding[] =>
  held
    .filter((each) => !each.isStale && !isStillOurs(state, each))
    .map(({ address, containerId, ifname }) => ({
      kind: 'duplicate',
      what: `${address} is used by container ${containerId} ${ifname}, but is no longer this node's`,
      advice: 'Another node may give it, too. Remove the container.',
    }));

const overlaps = ({ blocks }: RemoteView): Finding[] => {
  const spans = blocks.flatMap((record) => {
    const cidr = blockCidr(record);
    return cidr === undefined ? [] : [{ span: spanOf(cidr), value: blockValue(record) }];
  });
  spans.sort((a, b) => a.span.family - b.span.family || (a.span.first < b.span.first ? -1 : 1));
  let widest = spans[0];
  return spans.slice(1).flatMap((each) => {
    const before = widest;
    if (
      widest === undefined ||
      widest.span.family !== each.span.family ||
      each.span.last > widest.span.last
    ) {
      widest = each;
    }
    if (before === undefined || !spansOverlap(before.span, each.span)) return [];
    return [
      {
        kind: 'duplicate' as const,
        what: `block ${each.value.cidr} of node ${each.value.node} overlaps ${before.value.cidr} of node ${before.value.node}`,
        advice: 'Drain one of the nodes, then call podwire ipam gc on it.',
      },
    ];
  });
};

const unknownPools = ({ blocks, pools }: RemoteView): Finding[] =>
  blocks
    .filter((record) => !pools.some(({ name }) => name === blockValue(record).pool))
    .map((record) => ({
      kind: 'orphan',
      what: `block ${blockValue(record).cidr} of node ${blockValue(record).node} is of pool ${blockValue(record).pool}, which is not there`,
      advice: 'It goes back when it is empty; put the pool back to give more of it.',
    }));

const differences = (ipam: IpamNode, { state }: LocalView, { blocks }: RemoteView): Finding[] => {
  const recorded = new Set(
    blocks.filter((record) => isOwn(ipam, record)).map((record) => blockValue(record).cidr),
  );
  const known = new Set(state.blocks.map(({ cidr }) => cidr));
  const advice = 'podwire ipam gc takes over what the datastore says.';
  return [
    ...[...known]
      .filter((cidr) => !recorded.has(cidr))
      .map((cidr) => ({
        kind: 'difference' as const,
        what: `this node uses block ${cidr}, which the datastore does not say is its`,
        advice,
      })),
    ...[...recorded]
      .filter((cidr) => !known.has(cidr))
      .map((cidr) => ({
        kind: 'difference' as const,
        what: `the datastore says that block ${cidr} is this node's, which does not know it`,
        advice,
      })),
  ];
};

const orphans = (ipam: IpamNode, { held }: LocalView, { addresses, blocks }: RemoteView): Finding[] =>
  addresses.flatMap((record): Finding[] => {
    const { address, containerId, node } = addressValue(record);
    if (containerId === undefined) return [];
    if (
      isOwn(ipam, record) &&
      !held.some((each) => each.address === address && each.containerId === containerId)
    ) {
      return [
        {
          kind: 'orphan' as const,
          what: `the datastore says that container ${containerId} of this node has ${address}, which it has not`,
          advice: 'podwire ipam gc frees it.',
        },
      ];
    }
    const holder = held.find((each) => each.address === address);
    if (isOwn(ipam, record) || holder === undefined || !isInBlocks(ipam, blocks, address)) return [];
    return [
      {
        kind: 'duplicate' as const,
        what: `${address} is used by container ${holder.containerId} here and ${containerId} on node ${node}`,
        advice: 'Remove one of them: the pod was started on another node while this one could not be told.',
      },
    ];
  });

const isInBlocks = (ipam: IpamNode, blocks: RemoteView['blocks'], text: string): boolean => {
  const address = parseAddress(text);
  return blocks.some((record) => {
    const cidr = parseCidr(blockValue(record).cidr);
    return (
      isOwn(ipam, record) && cidr !== undefined && address !== undefined && spanHolds(spanOf(cidr), address)
    );
  });
};
