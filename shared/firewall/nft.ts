import type { OwnedSet } from '../filter/nft-owned.ts';
import type { NftElement, NftPlan, NftTable } from '../filter/nft-plan.ts';
import { addressValue, concatenation, ifnameValue } from '../filter/nft-values.ts';
import { ownerComment } from '../filter/owner.ts';
import type { FirewallPod, IngressPolicy } from './options.ts';

const FAMILY = 'inet';

const TABLE = 'podwire_firewall';

/** Comment of a bridge's elements, which all its pods want. No owner's comment is one word. */
export const SHARED_COMMENT = 'shared';

/** What an element's comment and key tell: the addresses of pods. */
const ADDRESS_SETS: readonly OwnedSet[] = [
  { family: FAMILY, table: TABLE, set: 'pods4', keyType: 'ipv4_addr' },
  { family: FAMILY, table: TABLE, set: 'pods6', keyType: 'ipv6_addr' },
];

/** The devices that an ingress policy holds for, and the policy of each. */
export const DEVICE_SETS: readonly OwnedSet[] = [
  { family: FAMILY, table: TABLE, set: 'guarded', keyType: 'ifname' },
  { family: FAMILY, table: TABLE, set: 'within', keyType: 'ifname . ifname' },
];

/** Where elements of pods are. */
export const FIREWALL_SETS: readonly OwnedSet[] = [...ADDRESS_SETS, ...DEVICE_SETS];

/** What goes into the table for a pod. */
export interface FirewallNftParts {
  /** Whether its addresses are listed, which stand for the accepts of the iptables backend. */
  addresses: boolean;
  policy: IngressPolicy;
  /** Whether other pods have the same device, such as a bridge. */
  deviceIsShared: boolean;
}

/**
 * The firewall of a pod in nftables. The administrator's chain has the first word and is never touched; then a
 * policy's drops; then what is a pod's is accepted, as CNI-FORWARD does it. An `accept` ends this table only:
 * what another one drops stays dropped. A pod's part is one element for each address; a policy's, two for each
 * bridge. Throws TypeError on a device's name that is not plain.
 */
export const firewallNftPlan = (pod: FirewallPod, parts: FirewallNftParts): NftPlan => ({
  feature: 'firewall',
  frame: [firewallTable],
  elements: [...(parts.addresses ? addressElements(pod) : []), ...policyElements(pod, parts)],
});

const addressElements = ({ owner, addresses }: FirewallPod): NftElement[] =>
  addresses.map((address) => ({
    family: FAMILY,
    table: TABLE,
    set: address.includes(':') ? 'pods6' : 'pods4',
    key: addressValue(address),
    comment: ownerComment(owner),
  }));

const policyElements = (
  { owner, device = '' }: FirewallPod,
  { policy, deviceIsShared }: FirewallNftParts,
): NftElement[] => {
  if (policy === 'open') return [];
  const key = ifnameValue(device);
  const common = {
    family: FAMILY,
    table: TABLE,
    ...(deviceIsShared
      ? { comment: SHARED_COMMENT, shared: true as const }
      : { comment: ownerComment(owner) }),
  } as const;
  return [
    { ...common, set: 'guarded', key },
    { ...common, set: 'within', key: concatenation(key, key), jump: policy },
  ];
};

const firewallTable: NftTable = {
  family: FAMILY,
  name: TABLE,
  sets: [
    { name: 'pods4', kind: 'set', type: 'ipv4_addr' },
    { name: 'pods6', kind: 'set', type: 'ipv6_addr' },
    { name: 'guarded', kind: 'set', type: 'ifname' },
    { name: 'within', kind: 'map', type: 'ifname . ifname : verdict' },
  ],
  chains: [
    { name: 'admin', rules: [], administered: true },
    { name: 'same-bridge', rules: ['accept'] },
    { name: 'isolated', rules: ['drop'] },
    {
      name: 'forward',
      hook: { type: 'filter', name: 'forward', priority: 0 },
      rules: [
        'jump admin',
        'iifname . oifname vmap @within',
        'iifname @guarded oifname @guarded drop',
        'ct state established,related ip daddr @pods4 accept',
        'ip saddr @pods4 accept',
        'ct state established,related ip6 daddr @pods6 accept',
        'ip6 saddr @pods6 accept',
      ],
    },
  ],
};
