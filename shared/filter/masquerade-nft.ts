import { readNftChains, readNftElements } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import type { OwnedSet } from './nft-owned.ts';
import type { NftChain, NftPlan, NftTable } from './nft-plan.ts';
import { deleteUnusedChains } from './nft-transaction.ts';
import { addressValue } from './nft-values.ts';
import { type Owner, ownerComment } from './owner.ts';
import type { PodAddress } from './pod-address.ts';

const FAMILY = 'inet';
const TABLE = 'podwire_masquerade';
const SUBNET_CHAIN_PREFIX = 'from-';

/** Where the elements of all pods are. */
export const MASQUERADE_SETS: readonly OwnedSet[] = [
  { family: FAMILY, table: TABLE, set: 'pods4', keyType: 'ipv4_addr' },
  { family: FAMILY, table: TABLE, set: 'pods6', keyType: 'ipv6_addr' },
];

/**
 * Masquerade for a pod: a map from pod addresses to a chain for each subnet, so that a packet costs one
 * lookup however many pods there are, and a pod's part is one element for each address.
 */
export const masqueradePlan = (owner: Owner, addresses: readonly PodAddress[]): NftPlan => ({
  feature: 'ipMasq',
  frame: [masqueradeTable(addresses)],
  elements: addresses.map((pod) => ({
    family: FAMILY,
    table: TABLE,
    set: pod.family === 4 ? 'pods4' : 'pods6',
    key: addressValue(pod.address),
    jump: subnetChain(pod).name,
    comment: ownerComment(owner),
  })),
});

const masqueradeTable = (addresses: readonly PodAddress[]): NftTable => ({
  family: FAMILY,
  name: TABLE,
  sets: [
    { name: 'pods4', kind: 'map', type: 'ipv4_addr : verdict' },
    { name: 'pods6', kind: 'map', type: 'ipv6_addr : verdict' },
  ],
  chains: [
    {
      name: 'postrouting',
      // As nft's and the reference's `srcnat`.
      hook: { type: 'nat', name: 'postrouting', priority: 100 },
      rules: ['ip saddr vmap @pods4', 'ip6 saddr vmap @pods6'],
    },
    ...addresses.map(subnetChain),
  ],
});

/** Multicast is left alone, so that pods of one bridge reach each other by it, as with the reference. */
const subnetChain = ({ family, subnet }: PodAddress): NftChain => {
  const match = family === 4 ? 'ip' : 'ip6';
  const multicast = family === 4 ? '224.0.0.0/4' : 'ff00::/8';
  return {
    // nft's identifiers take a slash but no colon; an address has no underscore of its own.
    name: `${SUBNET_CHAIN_PREFIX}${subnet.replaceAll(':', '_')}`,
    rules: [`${match} daddr ${subnet} return`, `${match} daddr ${multicast} return`, 'masquerade'],
  };
};

/** Takes away the subnets' chains that no pod's element jumps to any more. Throws CniError 100. */
export const collectSubnetChains = async (socket: NftSocket): Promise<void> => {
  const used = new Set(
    MASQUERADE_SETS.flatMap((set) => readNftElements(socket, set)).map(({ jump }) => jump),
  );
  const unused = readNftChains(socket, FAMILY, TABLE).filter(
    ({ name }) => name.startsWith(SUBNET_CHAIN_PREFIX) && !used.has(name),
  );
  await deleteUnusedChains(socket, FAMILY, TABLE, unused);
};
