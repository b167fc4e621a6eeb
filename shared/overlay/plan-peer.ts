import { type Cidr, contains, formatAddress, parseCidr } from '../kernel/address-math.ts';
import type { WantedEntries } from './entries.ts';
import type { Peer } from './peers.ts';
import type { OverlayMode, PeerState, SkippedPeer, Underlay } from './types.ts';
import { linkLocalOf, vtepAddresses } from './vtep.ts';

/**
 * Adds to `entries` what leads to a peer: a route for each of its prefixes, and for what is encapsulated a
 * neighbour of each family and an FDB entry. A prefix is routed directly when the peer has an address of
 * its family within a subnet of the underlay's device.
 */
export const planPeer = (
  peer: Peer,
  mode: OverlayMode,
  underlay: Underlay,
  entries: WantedEntries,
): { state?: PeerState; skipped: SkippedPeer[] } => {
  const neighbourhood = mode === 'vxlan' ? undefined : neighboursOn(underlay);
  const gateways = gatewaysOf(peer);
  const reached: string[] = [];
  const skipped: SkippedPeer[] = [];
  let encapsulated = false;
  for (const { text, cidr } of peer.prefixes) {
    const { family } = cidr;
    const neighbour = neighbourhood && addressWithin(peer, family, neighbourhood);
    if (neighbour !== undefined) {
      entries.routes.set(text, { dst: text, via: neighbour, over: 'underlay' });
    } else if (mode === 'direct') {
      const reason = `it has no IPv${family} address within a subnet of the underlay device "${underlay.device}", so that ${text} cannot be routed directly`;
      skipped.push({ name: peer.name, reason });
      continue;
    } else {
      const via = gateways[family];
      entries.routes.set(text, { dst: text, via, over: 'vtep' });
      entries.neighbours.set(via, peer.mac);
      encapsulated = true;
    }
    reached.push(text);
  }
  if (encapsulated) entries.fdb.set(peer.mac, peer.address);
  if (reached.length === 0) return { skipped };
  const { name, address } = peer;
  return { state: { name, address, podCIDRs: reached, via: encapsulated ? 'vxlan' : 'direct' }, skipped };
};

/** The next hops over the VTEP: IPv4 the address of the peer's VTEP, IPv6 its link-local address. */
const gatewaysOf = ({ mac, prefixes }: Peer): { 4: string; 6: string } => ({
  4: vtepAddresses(prefixes.map(({ text }) => text))[4] ?? '',
  6: linkLocalOf(mac),
});

const subnetCache = new WeakMap<Underlay, Cidr[]>();

const neighboursOn = (underlay: Underlay): Cidr[] => {
  let subnets = subnetCache.get(underlay);
  if (subnets === undefined) {
    // A subnet of a single address has no neighbours.
    subnets = underlay.subnets
      .flatMap((text) => parseCidr(text) ?? [])
      .filter(({ family, prefixLength }) => prefixLength < (family === 4 ? 32 : 128));
    subnetCache.set(underlay, subnets);
  }
  return subnets;
};

const addressWithin = (peer: Peer, family: 4 | 6, subnets: readonly Cidr[]): string | undefined => {
  const address = peer.addresses.find(
    (candidate) => candidate.family === family && subnets.some((subnet) => contains(subnet, candidate)),
  );
  return address && formatAddress(address);
};
