import { type Cidr, contains, parseCidr } from '../kernel/address-math.ts';
import type { WantedEntries } from './entries.ts';
import type { Peer } from './peers.ts';
import type { OverlayMode, PeerState, SkippedPeer, Underlay } from './types.ts';

/**
 * Adds to `entries` what leads to a peer: a route for each of its prefixes and single addresses, and for what is encapsulated a
 * neighbour of each family and an FDB entry. A prefix is routed directly when the peer has an address of
 * its family within a subnet of the underlay's device.
 */
export const planPeer = (
  peer: Peer,
  mode: OverlayMode,
  underlay: Underlay,
  entries: WantedEntries,
): { state?: PeerState; skipped: SkippedPeer[] } => {
  const subnets = mode === 'vxlan' ? undefined : subnetsOf(underlay);
  const reached: string[] = [];
  const skipped: SkippedPeer[] = [];
  let encapsulated = false;
  for (const { text, cidr } of [...peer.prefixes, ...peer.singles]) {
    const { family } = cidr;
    const neighbour = subnets && addressWithin(peer, family, subnets);
    if (neighbour !== undefined) {
      entries.routes.set(text, { dst: text, via: neighbour, over: 'underlay' });
    } else if (mode === 'direct') {
      const reason = `it has no IPv${family} address within a subnet of the underlay device "${underlay.device}", so that ${text} cannot be routed directly`;
      skipped.push({ name: peer.name, reason });
      continue;
    } else {
      const via = peer.gateways[family];
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

const known = new WeakMap<Underlay, Cidr[]>();

const subnetsOf = (underlay: Underlay): Cidr[] => {
  let subnets = known.get(underlay);
  if (subnets === undefined) {
    // A subnet of a single address has no neighbours.
    subnets = underlay.subnets
      .flatMap((text) => parseCidr(text) ?? [])
      .filter(({ family, prefixLength }) => prefixLength < (family === 4 ? 32 : 128));
    known.set(underlay, subnets);
  }
  return subnets;
};

const addressWithin = (peer: Peer, family: 4 | 6, subnets: readonly Cidr[]): string | undefined =>
  peer.addresses.find(
    ({ address }) => address.family === family && subnets.some((subnet) => contains(subnet, address)),
  )?.text;
