import type { OwnedSet } from '../filter/nft-owned.ts';
import type { NftChain, NftElement, NftPlan, NftTable, NftValue, OwnedChain } from '../filter/nft-plan.ts';
import { addressValue, concatenation, portValue, protocolValue } from '../filter/nft-values.ts';
import { type Owner, ownerComment } from '../filter/owner.ts';
import type { PodAddress } from '../filter/pod-address.ts';
import type { PortBinding } from './mapping.ts';
import { boundPorts, type PortmapOptions } from './options.ts';

export const PORTMAP_FAMILY = 'inet';
export const PORTMAP_TABLE = 'podwire_portmap';

const ANY = 'inet_proto . inet_service';
const ADDRESS_TYPES = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

/** The maps: `any…` and `at…` say where a port leads, `pre_…` what is done before, `post…` after the DNAT. */
const SETS = ([4, 6] as const).flatMap((family) => {
  const address = ADDRESS_TYPES[family];
  return [
    { name: `any${family}`, keyType: ANY, value: `${address} . inet_service` },
    { name: `at${family}`, keyType: `${address} . ${ANY}`, value: `${address} . inet_service` },
    { name: `pre_any${family}`, keyType: ANY, value: 'verdict' },
    { name: `pre_at${family}`, keyType: `${address} . ${ANY}`, value: 'verdict' },
    { name: `post${family}`, keyType: address, value: 'verdict' },
  ];
});

/** Where the elements of all pods are. */
export const PORTMAP_SETS: readonly OwnedSet[] = SETS.map(({ name, keyType }) => ({
  family: PORTMAP_FAMILY,
  table: PORTMAP_TABLE,
  set: name,
  keyType,
}));

/**
 * Host ports for a pod, by maps from (protocol, port), or (address, protocol, port), to the pod's address and
 * port: a connection's first packet costs the same few lookups however many ports there are, and a port is
 * an element or two. A second element per port leads to the chain that marks what has to be masqueraded:
 * what comes from the pod's own subnet, whose answer would not pass the host, and from 127.0.0.1. Conditions
 * are a chain of the owner's own in that place.
 */
export const portmapPlan = (
  owner: Owner,
  options: PortmapOptions,
  addresses: readonly PodAddress[],
): NftPlan => {
  const parts = addresses.map((pod) => familyPlan(owner, options, pod));
  return {
    feature: 'portmap',
    frame: [portmapTable(parts.flatMap((part) => part.shared))],
    elements: parts.flatMap((part) => part.elements),
    chains: parts.flatMap((part) => part.own),
  };
};

/** The chains that an owner may have, for a DEL that has no record of what ADD made. */
export const ownPortmapChains = (owner: Owner): OwnedChain[] =>
  ([4, 6] as const).map((family) => ownChain(owner, family, []));

/** What the names of chains begin with that go when no element jumps to them. */
export const COLLECTED_CHAINS = /^(near|all|masq|own)-/;

interface FamilyPlan {
  /** Chains that pods of the same subnet share. */
  shared: NftChain[];
  own: OwnedChain[];
  elements: NftElement[];
}

const familyPlan = (owner: Owner, options: PortmapOptions, pod: PodAddress): FamilyPlan => {
  const { family } = pod;
  const bindings = boundPorts(options, [family]);
  if (bindings.length === 0) return { shared: [], own: [], elements: [] };
  const conditions = family === 4 ? options.conditionsV4 : options.conditionsV6;
  const marking = options.snat ? markingChain(pod, options) : undefined;
  const masquerading = options.snat ? masqueradingChain(options.markMasqBit) : undefined;
  const own = ownChainOf(owner, pod, conditions, marking);
  const jump = (own ?? marking)?.name;
  const common = { family: PORTMAP_FAMILY, table: PORTMAP_TABLE, comment: ownerComment(owner) } as const;
  const elements: NftElement[] = bindings.flatMap((binding) => {
    const { set, key } = placeOf(binding);
    const data = concatenation(addressValue(pod.address), portValue(binding.containerPort));
    return [
      { ...common, set, key, data, exclusive: true as const },
      ...(jump === undefined ? [] : [{ ...common, set: `pre_${set}`, key, jump }]),
    ];
  });
  if (masquerading !== undefined) {
    const key = addressValue(pod.address);
    elements.push({ ...common, set: `post${family}`, key, jump: masquerading.name });
  }
  return {
    shared: [own === undefined ? marking : undefined, masquerading].filter((chain) => chain !== undefined),
    own: own === undefined ? [] : [own],
    elements,
  };
};

const placeOf = ({
  family,
  protocol,
  hostPort,
  hostAddress,
}: PortBinding): { set: string; key: NftValue } => {
  const port = [protocolValue(protocol), portValue(hostPort)];
  if (hostAddress === undefined) return { set: `any${family}`, key: concatenation(...port) };
  return { set: `at${family}`, key: concatenation(addressValue(hostAddress), ...port) };
};

/** Marks what has to be masqueraded. Pods of one subnet share it. */
const markingChain = ({ family, subnet }: PodAddress, { masqAll, markMasqBit }: PortmapOptions): NftChain => {
  const mark = `meta mark set meta mark | ${bitText(markMasqBit)}`;
  if (masqAll) return { name: `all-${markMasqBit}`, rules: [mark] };
  const saddr = family === 4 ? 'ip saddr' : 'ip6 saddr';
  // nft's identifiers take a slash but no colon; an address has no underscore of its own.
  const name = `near-${subnet.replaceAll(':', '_')}-${markMasqBit}`;
  const local = family === 4 ? [`${saddr} 127.0.0.0/8 ${mark}`] : [];
  return { name, rules: [`${saddr} ${subnet} ${mark}`, ...local] };
};

const masqueradingChain = (markMasqBit: number): NftChain => ({
  name: `masq-${markMasqBit}`,
  rules: [`meta mark & ${bitText(markMasqBit)} == ${bitText(markMasqBit)} masquerade`],
});

/**
 * The chain that goes with the pod: for its conditions, or where its subnet is nobody else's, as a routed pod's
 * is with many IPAM plugins: one for each address would stay behind until GC, which few runtimes call.
 */
const ownChainOf = (
  owner: Owner,
  pod: PodAddress,
  conditions: readonly string[],
  marking: NftChain | undefined,
): OwnedChain | undefined => {
  if (conditions.length > 0) return conditionalChain(owner, pod, conditions, marking?.rules ?? []);
  const isAlone = pod.subnet.endsWith(pod.family === 4 ? '/32' : '/128');
  return isAlone && marking?.name.startsWith('near-')
    ? ownChain(owner, pod.family, marking.rules)
    : undefined;
};

/** What meets the conditions is marked, then goes where its port leads; the rest leaves the table as it came. */
const conditionalChain = (
  owner: Owner,
  { family }: PodAddress,
  conditions: readonly string[],
  marking: readonly string[],
): OwnedChain => {
  const match = `meta nfproto ipv${family} ${conditions.join(' ')}`;
  return ownChain(owner, family, [
    ...marking.map((rule) => `${match} ${rule}`),
    `${match} goto dnat${family}`,
    'accept',
  ]);
};

const ownChain = ({ network, containerId, ifname }: Owner, family: 4 | 6, rules: string[]): OwnedChain => {
  const hash = Bun.hash.xxHash64(`${network}\n${containerId}\n${ifname}`).toString(16).padStart(16, '0');
  return { family: PORTMAP_FAMILY, table: PORTMAP_TABLE, name: `own-${hash}-${family}`, rules };
};

const bitText = (bit: number): string => `0x${(2 ** bit).toString(16)}`;

const LOCAL = 'fib daddr type local meta nfproto vmap { ipv4 : jump hostports4, ipv6 : jump hostports6 }';

const portmapTable = (shared: readonly NftChain[]): NftTable => ({
  family: PORTMAP_FAMILY,
  name: PORTMAP_TABLE,
  sets: SETS.map(({ name, keyType, value }) => ({ name, kind: 'map', type: `${keyType} : ${value}` })),
  chains: [
    // At the priorities of nft's and the reference's `dstnat` and `srcnat`.
    { name: 'prerouting', hook: { type: 'nat', name: 'prerouting', priority: -100 }, rules: [LOCAL] },
    {
      name: 'output',
      hook: { type: 'nat', name: 'output', priority: -100 },
      // The kernel lets nothing from ::1 leave by another interface than lo: refused at once, a client
      // that tries ::1 before 127.0.0.1 goes on to that, where it would wait for a lost connection.
      rules: ['ip6 daddr ::1 accept', LOCAL],
    },
    {
      name: 'postrouting',
      hook: { type: 'nat', name: 'postrouting', priority: 100 },
      rules: ['ct status dnat ip daddr vmap @post4', 'ct status dnat ip6 daddr vmap @post6'],
    },
    {
      name: 'martians',
      // What route_localnet would let in from pods to services on 127.0.0.1 (CVE-2020-8558). Before
      // conntrack (`raw`), so that answers to masqueraded connections do not have such a destination yet.
      hook: { type: 'filter', name: 'prerouting', priority: -300 },
      rules: ['ip daddr 127.0.0.0/8 iifname != "lo" drop'],
    },
    ...([4, 6] as const).flatMap((family) => lookupChains(family)),
    ...shared,
  ],
});

/** An address of its own goes before any address. */
const lookupChains = (family: 4 | 6): NftChain[] => {
  const ip = family === 4 ? 'ip' : 'ip6';
  const port = 'meta l4proto . th dport';
  const only = `meta nfproto ipv${family}`;
  return [
    {
      name: `hostports${family}`,
      rules: [
        `${ip} daddr . ${port} vmap @pre_at${family}`,
        `${only} ${port} vmap @pre_any${family}`,
        `goto dnat${family}`,
      ],
    },
    {
      name: `dnat${family}`,
      rules: [
        `dnat ${ip} to ${ip} daddr . ${port} map @at${family}`,
        `${only} dnat ${ip} to ${port} map @any${family}`,
      ],
    },
  ];
};
