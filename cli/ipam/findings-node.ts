import type { IpamNode } from '../../shared/ipam/node.ts';
import type { Pool } from '../../shared/ipam/pool.ts';
import { addressValue, blockValue, isInOwnBlock, isOwn, isStillOurs } from '../../shared/ipam/sync.ts';
import { parseAddress } from '../../shared/kernel/address-math.ts';
import { type Finding, gcCommand } from './finding.ts';
import { isInPools } from './findings-datastore.ts';
import type { LocalView, RemoteView } from './observe.ts';

/** What is wrong with what this node has, by itself and compared with the datastore where that was reached. */
export const nodeFindings = (
  ipam: IpamNode,
  local: LocalView,
  remote: RemoteView | undefined,
  now: number,
): Finding[] => [
  ...lost(local),
  ...outside(local, remote?.pools ?? local.pools),
  ...untold(local),
  ...unconfirmed(ipam, local, now),
  ...(remote === undefined
    ? []
    : [...blockDifferences(ipam, local, remote), ...fixedDifferences(ipam, local, remote)]),
];

/** Addresses in use whose block is another's by now. */
const lost = ({ held, state }: LocalView): Finding[] =>
  held
    .filter((each) => !each.isStale && !isStillOurs(state, each))
    .map(({ address, containerId, ifname }) => ({
      kind: 'duplicate',
      code: 'no-longer-ours',
      subject: address,
      what: `${address} is held by container ${named(containerId, ifname)}, but is no longer this node's`,
      meaning:
        'Its block was reclaimed while this node seemed gone, or the pod was started elsewhere: another node may give it.',
      remedy: 'Remove the container: it gets another address when it comes back.',
      gc: false,
    }));

const outside = ({ held }: LocalView, pools: readonly Pool[]): Finding[] =>
  held.flatMap(({ address: text, containerId, ifname }): Finding[] => {
    const address = parseAddress(text);
    if (address === undefined || isInPools(pools, address)) return [];
    return [
      {
        kind: 'outside',
        code: 'held-outside-pools',
        subject: text,
        what: `${text} is held by container ${named(containerId, ifname)}, and no pool has it`,
        meaning: 'CHECK of its network fails, and the address has no prefix and gateway any more.',
        remedy: 'Put the pool back, or remove the container.',
        gc: false,
      },
    ];
  });

const untold = ({ state }: LocalView): Finding[] =>
  Object.entries(state.fixed).flatMap(([address, { releasedAt }]): Finding[] =>
    releasedAt === undefined
      ? []
      : [
          {
            kind: 'leak',
            code: 'release-not-told',
            subject: address,
            what: `${address} was freed here at ${releasedAt}, which the datastore was not told`,
            meaning: 'It was away then. Until it is told, nobody else gets the address.',
            remedy: `${gcCommand}; the agent and the next DEL do it, too.`,
            gc: true,
          },
        ],
  );

const unconfirmed = ({ graceMs }: IpamNode, { state }: LocalView, now: number): Finding[] => {
  if (state.blocks.length === 0 || now - state.confirmedAt < graceMs * 0.9) return [];
  return [
    {
      kind: 'difference',
      code: 'blocks-not-confirmed',
      subject: state.node,
      what: `node ${state.node} last heard from the datastore at ${new Date(state.confirmedAt).toISOString()}`,
      meaning:
        'Its blocks may be taken for those of a node that is gone: it gives no address before it has asked.',
      remedy: `${gcCommand}; an agent that runs and reaches the datastore does it all the time.`,
      gc: true,
    },
  ];
};

const blockDifferences = (ipam: IpamNode, { state }: LocalView, { blocks }: RemoteView): Finding[] => {
  const recorded = new Set(
    blocks.filter((record) => isOwn(ipam, record)).map((record) => blockValue(record).cidr),
  );
  const known = new Set(state.blocks.map(({ cidr }) => cidr));
  const remedy = `${gcCommand} takes over what the datastore says.`;
  return [
    ...[...known.difference(recorded)].map((cidr) => ({
      kind: 'difference' as const,
      code: 'block-not-recorded',
      subject: cidr,
      what: `this node uses block ${cidr}, which the datastore does not say is its`,
      meaning: 'Another node can claim it, and its pods would have the same addresses.',
      remedy,
      gc: true,
    })),
    ...[...recorded.difference(known)].map((cidr) => ({
      kind: 'difference' as const,
      code: 'block-not-known',
      subject: cidr,
      what: `the datastore says that block ${cidr} is this node's, which does not know it`,
      meaning: 'Nobody uses it: a claim whose answer was lost, or a state of this node that was removed.',
      remedy,
      gc: true,
    })),
  ];
};

const fixedDifferences = (ipam: IpamNode, { held, state }: LocalView, { addresses }: RemoteView): Finding[] =>
  addresses.flatMap((record): Finding[] => {
    const { address, containerId, node } = addressValue(record);
    if (containerId === undefined) return [];
    const holder = held.find((each) => each.address === address);
    if (isOwn(ipam, record)) {
      // One that was freed, and waits to be told, is told of as that.
      if (holder?.containerId === containerId || state.fixed[address]?.releasedAt !== undefined) return [];
      return [
        {
          kind: 'orphan',
          code: 'record-without-container',
          subject: address,
          what: `the datastore says that container ${containerId} of this node has ${address}, which it has not`,
          meaning: 'Nobody can have the address, and it is kept for nobody.',
          remedy: `${gcCommand} frees it.`,
          gc: true,
        },
      ];
    }
    if (holder === undefined || !isInOwnBlock(state, address)) return [];
    return [
      {
        kind: 'duplicate',
        code: 'used-on-two-nodes',
        subject: address,
        what: `${address} is held by container ${holder.containerId} here and by ${containerId} on node ${node}`,
        meaning: 'The pod was started on another node while this one could not be told.',
        remedy: 'Remove the container here, unless it is the one that is meant.',
        gc: false,
      },
    ];
  });

export const named = (containerId: string, ifname: string): string => `${containerId} ${ifname}`.trimEnd();
