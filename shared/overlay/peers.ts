import { type Address, bitsOf, type Cidr, parseAddress, parseCidr } from '../kernel/address-math.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { OverlayNode, SkippedPeer, Underlay } from './types.ts';
import { vtepMac } from './vtep.ts';

/** A peer whose description is sound, with what is computed from it. */
export interface Peer {
  name: string;
  mac: string;
  /** The first of its addresses that is of the underlay's family. */
  address: string;
  /** All of them. */
  addresses: Address[];
  prefixes: { text: string; cidr: Cidr }[];
}

/**
 * The nodes other than `own` that packets may be sent to, by name, and why the others are left out. Of two
 * whose prefixes overlap our own keeps them, else the one whose name sorts first: every node decides alike.
 */
export const choosePeers = (
  own: OverlayNode,
  nodes: readonly OverlayNode[],
  underlay: Underlay,
): { chosen: Peer[]; skipped: SkippedPeer[] } => {
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
  const chosen = found.filter((peer) => {
    const reason = taken.refuse(peer);
    if (reason !== undefined) skipped.push({ name: peer.name, reason });
    return reason === undefined;
  });
  return { chosen, skipped };
};

/** A peer, or why there can be none. */
const describePeer = ({ name, addresses, podCIDRs }: OverlayNode, underlay: Underlay): Peer | string => {
  if (podCIDRs.length === 0) return 'it has no pod prefix';
  const prefixes: Peer['prefixes'] = [];
  for (const text of podCIDRs) {
    const cidr = parseCidr(text);
    if (cidr === undefined) return `its pod prefix ${text} cannot be read`;
    prefixes.push({ text, cidr });
  }
  const ipv6 = underlay.address.includes(':');
  const address = addresses.find((text) => parseAddress(text) !== undefined && text.includes(':') === ipv6);
  if (address === undefined) {
    const given = addresses.length === 0 ? 'none' : addresses.join(', ');
    return `it has no IPv${ipv6 ? 6 : 4} address (${given}), as the underlay address ${underlay.address} needs`;
  }
  const parsed = addresses.flatMap((text) => parseAddress(text) ?? []);
  return { name, mac: vtepMac(name), address, addresses: parsed, prefixes };
};

/** What belongs to this node and to the peers that were chosen before. */
class Taken {
  readonly #own: OverlayNode;
  readonly #underlay: Underlay;
  readonly #names = new Set<string>();
  readonly #macs = new Map<string, string>();
  readonly #prefixes = new PrefixIndex<{ text: string; holder: string }>();
  readonly #hosts = new PrefixIndex<string>();

  constructor(own: OverlayNode, underlay: Underlay, candidates: readonly Peer[]) {
    this.#own = own;
    this.#underlay = underlay;
    this.#macs.set(vtepMac(own.name), 'this node');
    for (const text of own.podCIDRs) {
      const cidr = parseCidr(text);
      if (cidr !== undefined) this.#prefixes.add(cidr, { text, holder: 'this node' });
    }
    this.#addHost(underlay.address, 'this node');
    for (const { address, name } of candidates) this.#addHost(address, `the node "${name}"`);
  }

  /** Why a peer cannot be used beside the others; undefined when it can, and then what it has is taken. */
  refuse(peer: Peer): string | undefined {
    const reason = this.#reason(peer);
    if (reason !== undefined) return reason;
    const holder = `the node "${peer.name}"`;
    this.#names.add(peer.name);
    this.#macs.set(peer.mac, holder);
    for (const { cidr, text } of peer.prefixes) this.#prefixes.add(cidr, { text, holder });
    return undefined;
  }

  #reason({ name, mac, address, prefixes }: Peer): string | undefined {
    if (this.#names.has(name)) return 'another node of that name comes first';
    if (address === this.#underlay.address)
      return `its address ${address} is the one of this node, "${this.#own.name}"`;
    const sameMac = this.#macs.get(mac);
    if (sameMac !== undefined)
      return `its name gives the same MAC (${mac}) as that of ${sameMac}: rename one`;
    const around = this.#prefixes.overlapping(hostPrefix(address));
    if (around !== undefined)
      return `its address ${address} is within the pod prefix ${around.text} of ${around.holder}`;
    for (const { cidr, text } of prefixes) {
      const other = this.#prefixes.overlapping(cidr);
      if (other !== undefined) return `its pod prefix ${text} overlaps ${other.text} of ${other.holder}`;
      const host = this.#hosts.overlapping(cidr);
      if (host !== undefined) return `its pod prefix ${text} contains the underlay address of ${host}`;
    }
    return undefined;
  }

  #addHost(text: string, holder: string): void {
    this.#hosts.add(hostPrefix(text), holder);
  }
}

const hostPrefix = (text: string): Cidr => {
  const address = parseAddress(text) ?? { family: 4, value: 0n };
  return { ...address, prefixLength: bitsOf(address.family) };
};
