import { type Address, bitsOf, type Cidr } from '../kernel/address-math.ts';
import { type NodeAddress, type PodPrefix, readNodeAddress, readPodPrefix } from './known-texts.ts';
import type { PrefixBits } from './prefix-bits.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { OverlayNode, SkippedPeer, Underlay } from './types.ts';
import { linkLocalOf, vtepMac } from './vtep.ts';

/** A peer whose description is sound, with what is computed from it. */
export interface Peer {
  name: string;
  mac: string;
  /** The first of its addresses that is of the underlay's family. */
  address: string;
  /** The same as bits. */
  host: PrefixBits;
  /** All of them. */
  addresses: NodeAddress[];
  prefixes: PodPrefix[];
  /** Single addresses, also within prefixes of others. */
  singles: PodPrefix[];
  /** The next hops of what is encapsulated: the IPv4 address of its VTEP, and the link-local one. */
  gateways: { 4: string; 6: string };
}

/**
 * The nodes other than `own` that packets may be sent to, by name, and why the others are left out. Of two
 * whose prefixes overlap our own keeps them, else the one whose name sorts first: every node decides alike.
 */
export const choosePeers = (
  own: OverlayNode,
  nodes: readonly OverlayNode[],
  underlay: Underlay,
): { chosen: Map<string, Peer>; skipped: SkippedPeer[]; conflicts: boolean } => {
  const skipped: SkippedPeer[] = [];
  const found = nodes
    .filter(({ name }) => name !== own.name)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((node) => {
      const peer = describePeer(node, underlay);
      if (typeof peer !== 'string') return [peer];
      skipped.push({ name: node.name, reason: peer });
      return [];
    });
  const taken = new Taken(own, underlay, found);
  const chosen = new Map<string, Peer>();
  let conflicts = false;
  for (const peer of found) {
    const reason = taken.refuse(peer);
    if (reason === undefined) chosen.set(peer.name, peer);
    else skipped.push({ name: peer.name, reason });
    conflicts ||= reason !== undefined;
  }
  for (const peer of chosen.values()) {
    if (peer.singles.length === 0) continue;
    const singles = peer.singles.filter((single) => {
      const reason = taken.refuseSingle(peer, single);
      if (reason !== undefined) skipped.push({ name: peer.name, reason });
      return reason === undefined;
    });
    if (singles.length === peer.singles.length) continue;
    chosen.set(peer.name, { ...peer, singles });
    conflicts = true;
  }
  return { chosen, skipped, conflicts };
};

/** A peer, or why there can be none. */
export const describePeer = (node: OverlayNode, underlay: Underlay): Peer | string => {
  const ipv6 = underlay.address.includes(':');
  const facts = factsOf(node);
  if (typeof facts === 'string') return facts;
  const address = facts.addresses.find(({ text }) => text.includes(':') === ipv6);
  if (address?.text === underlay.address) return `its address ${address.text} is the one of this node`;
  if (address !== undefined) return { ...facts, address: address.text, host: address.bits };
  const given = node.addresses.length === 0 ? 'none' : node.addresses.join(', ');
  return `it has no IPv${ipv6 ? 6 : 4} address (${given}), as the underlay address ${underlay.address} needs`;
};

const hostPrefix = (address: Address): Cidr => ({ ...address, prefixLength: bitsOf(address.family) });

type Facts = Omit<Peer, 'address' | 'host'>;

/** Nodes that did not change are the same objects from one sync to the next. */
const known = new WeakMap<OverlayNode, Facts | string>();

const factsOf = (node: OverlayNode): Facts | string => {
  let facts = known.get(node);
  if (facts === undefined) {
    facts = computeFacts(node);
    known.set(node, facts);
  }
  return facts;
};

const computeFacts = ({ name, addresses, podCIDRs, podAddresses = [] }: OverlayNode): Facts | string => {
  if (podCIDRs.length === 0) return 'it has no pod prefix';
  const facts: Facts = {
    ...{ name, mac: vtepMac(name), addresses: [], prefixes: [], singles: [] },
    gateways: { 4: '', 6: '' },
  };
  for (const text of podCIDRs) {
    const prefix = readPodPrefix(text);
    if (typeof prefix === 'string') return `its pod prefix ${text} ${prefix}`;
    facts.prefixes.push(prefix);
  }
  for (const text of podAddresses) {
    const single = readPodPrefix(text);
    if (typeof single === 'string') return `its pod address ${text} ${single}`;
    facts.singles.push(single);
  }
  for (const text of addresses) {
    const address = readNodeAddress(text);
    if (typeof address === 'string') return `its address ${text} ${address}`;
    facts.addresses.push(address);
  }
  // The network address of the first IPv4 prefix, as in `vtepAddresses`.
  const [ipv4 = ''] = facts.prefixes.find(({ cidr }) => cidr.family === 4)?.text.split('/') ?? [];
  facts.gateways = { 4: ipv4, 6: linkLocalOf(facts.mac) };
  return facts;
};

/** What belongs to this node and to the peers that were chosen before. */
class Taken {
  readonly #names = new Set<string>();
  readonly #macs = new Map<string, string>();
  readonly #prefixes = new PrefixIndex<{ text: string; holder: string }>();
  readonly #hosts = new PrefixIndex<string>();
  /** By the text of the address. */
  readonly #singles = new Map<string, string>();
  /** The VTEPs' addresses, as host prefixes. */
  readonly #gateways = new Set<string>();

  constructor(own: OverlayNode, underlay: Underlay, candidates: readonly Peer[]) {
    this.#macs.set(vtepMac(own.name), THIS_NODE);
    for (const text of own.podCIDRs) {
      const prefix = readPodPrefix(text);
      if (typeof prefix !== 'string') this.#prefixes.add(prefix.cidr, { text, holder: THIS_NODE });
    }
    for (const text of own.podAddresses ?? []) this.#singles.set(text, THIS_NODE);
    this.#addHost(underlay.address, THIS_NODE);
    for (const { address, name } of candidates) this.#addHost(address, name);
  }

  /** Why a peer cannot be used beside the others; undefined when it can, and then what it has is taken. */
  refuse(peer: Peer): string | undefined {
    const reason = this.#reason(peer);
    if (reason !== undefined) return reason;
    this.#names.add(peer.name);
    this.#macs.set(peer.mac, peer.name);
    for (const { cidr, text } of peer.prefixes) this.#prefixes.add(cidr, { text, holder: peer.name });
    if (peer.gateways[4] !== '') this.#gateways.add(`${peer.gateways[4]}/32`);
    return undefined;
  }

  /** Why a single address of a peer cannot be used; else it is taken. */
  refuseSingle({ name, gateways }: Peer, { text, cidr }: PodPrefix): string | undefined {
    const host = this.#hosts.overlapping(cidr);
    if (host !== undefined) return `its pod address ${text} is the underlay address of ${quoted(host)}`;
    const holder = this.#singles.get(text);
    if (holder !== undefined) return `its pod address ${text} is at ${quoted(holder)}, too`;
    if (cidr.prefixLength !== bitsOf(cidr.family)) return `its pod address ${text} is a whole prefix`;
    if (gateways[cidr.family] === '') return `its pod address ${text} needs an IPv4 prefix of that node, too`;
    if (this.#gateways.has(text)) return `its pod address ${text} is that of a VTEP`;
    this.#singles.set(text, name);
    return undefined;
  }

  #reason({ name, mac, address, prefixes }: Peer): string | undefined {
    if (this.#names.has(name)) return 'another node of that name comes first';
    const sameMac = this.#macs.get(mac);
    if (sameMac !== undefined)
      return `its name gives the same MAC (${mac}) as that of ${quoted(sameMac)}: rename one`;
    const host = readNodeAddress(address);
    const around =
      typeof host === 'string' ? undefined : this.#prefixes.overlapping(hostPrefix(host.address));
    if (around !== undefined)
      return `its address ${address} is within the pod prefix ${around.text} of ${quoted(around.holder)}`;
    for (const { cidr, text } of prefixes) {
      const other = this.#prefixes.overlapping(cidr);
      if (other !== undefined)
        return `its pod prefix ${text} overlaps ${other.text} of ${quoted(other.holder)}`;
      const inside = this.#hosts.overlapping(cidr);
      if (inside !== undefined)
        return `its pod prefix ${text} contains the underlay address of ${quoted(inside)}`;
    }
    return undefined;
  }

  #addHost(text: string, holder: string): void {
    const host = readNodeAddress(text);
    if (typeof host !== 'string') this.#hosts.add(hostPrefix(host.address), holder);
  }
}

/** No node's name, as these have no spaces. */
const THIS_NODE = 'this node';

const quoted = (holder: string): string => (holder === THIS_NODE ? holder : `the node "${holder}"`);
