import { bitsOf } from '../kernel/address-math.ts';
import { noEntries, type WantedEntries } from './entries.ts';
import { type PodPrefix, readNodeAddress, readPodPrefix } from './known-texts.ts';
import { describePeer, type Peer } from './peers.ts';
import type { OverlayPlan } from './plan.ts';
import { planPeer } from './plan-peer.ts';
import { overlap, type PrefixBits } from './prefix-bits.ts';
import type { OverlayNode, PeerState, SkippedPeer, Underlay } from './types.ts';

/** A plan that differs from the one before by some peers, with the entries of these before and after. */
export interface PlanChange {
  plan: OverlayPlan;
  before: WantedEntries;
  after: WantedEntries;
}

/**
 * The plan for other `nodes`, where all else is as it was, at the cost of what changed. Undefined when it
 * must be made anew: too much changed, or peers get, or had, in each other's way. The entries of `known`
 * become those of the new plan by `mergeEntries`.
 */
export const changePlan = (
  known: OverlayPlan,
  former: ReadonlyMap<string, OverlayNode>,
  own: OverlayNode,
  nodes: readonly OverlayNode[],
  underlay: Underlay,
): PlanChange | undefined => {
  if (known.conflicts) return undefined;
  const changed = changedNodes(former, own.name, nodes);
  if (changed === undefined) return undefined;
  const { mode } = known.state;
  const peers = new Map(known.chosen);
  const [before, after] = [noEntries(), noEntries()];
  for (const name of changed.keys()) {
    const peer = peers.get(name);
    if (peer === undefined) continue;
    planPeer(peer, mode, underlay, before);
    peers.delete(name);
  }
  const skipped: SkippedPeer[] = known.skipped.filter(({ name }) => !changed.has(name));
  const states: PeerState[] = known.peers.filter(({ name }) => !changed.has(name));
  for (const [name, node] of changed) {
    if (node === undefined) continue;
    const peer = describePeer(node, underlay);
    if (typeof peer === 'string') {
      insert(skipped, { name, reason: peer });
      continue;
    }
    if (isInTheWay(peer, peers, known, underlay)) return undefined;
    if (hasSingleInTheWay(peer, peers, own, underlay)) return undefined;
    peers.set(name, peer);
    const planned = planPeer(peer, mode, underlay, after);
    if (planned.state !== undefined) insert(states, planned.state);
    for (const one of planned.skipped) insert(skipped, one);
  }
  return { plan: { ...known, chosen: peers, peers: states, skipped }, before, after };
};

/** Puts a change into effect in the entries that were in force. */
export const mergeEntries = (entries: WantedEntries, { before, after }: PlanChange): void => {
  for (const table of ['routes', 'neighbours', 'fdb'] as const) {
    for (const key of before[table].keys()) entries[table].delete(key);
  }
  for (const [key, route] of after.routes) entries.routes.set(key, route);
  for (const [key, mac] of after.neighbours) entries.neighbours.set(key, mac);
  for (const [key, dst] of after.fdb) entries.fdb.set(key, dst);
};

/** What each changed node is now, undefined for one that left; undefined in all when they are too many. */
const changedNodes = (
  former: ReadonlyMap<string, OverlayNode>,
  own: string,
  nodes: readonly OverlayNode[],
): Map<string, OverlayNode | undefined> | undefined => {
  const changed = new Map<string, OverlayNode | undefined>();
  const names = new Set<string>();
  for (const node of nodes) {
    // The first of two that have one name counts, as in a plan that is made anew.
    if (names.has(node.name)) return undefined;
    names.add(node.name);
    if (node.name !== own && !isSame(node, former.get(node.name))) changed.set(node.name, node);
    if (changed.size > MOST_CHANGED) return undefined;
  }
  for (const name of former.keys()) {
    if (name !== own && !names.has(name)) changed.set(name, undefined);
  }
  return changed.size > MOST_CHANGED ? undefined : changed;
};

/** Each is compared with all others, which beyond some is no cheaper than a whole plan. */
const MOST_CHANGED = 16;

const isSame = (node: OverlayNode, other: OverlayNode | undefined): boolean =>
  node === other ||
  (other !== undefined &&
    isSameList(node.addresses, other.addresses) &&
    isSameList(node.podCIDRs, other.podCIDRs) &&
    isSameList(node.podAddresses ?? [], other.podAddresses ?? []));

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, index) => text === b[index]);

/** Whether a peer has something that another, or this node, has. Why is for a whole plan to say. */
const isInTheWay = (
  peer: Peer,
  others: ReadonlyMap<string, Peer>,
  { state }: OverlayPlan,
  underlay: Underlay,
): boolean => {
  const ownPrefixes = state.podCIDRs.map(readPodPrefix).filter((prefix) => typeof prefix !== 'string');
  const ownHost = readNodeAddress(underlay.address);
  if (peer.mac === state.mac || meets(peer, ownPrefixes)) return true;
  if (peer.prefixes.some(({ bits }) => overlap(bits, peer.host))) return true;
  if (typeof ownHost !== 'string' && contains(peer, ownHost.bits)) return true;
  for (const other of others.values()) {
    if (other.mac === peer.mac || meets(peer, other.prefixes) || contains(peer, other.host)) return true;
  }
  return false;
};

/**
 * Whether a single address is that of another, or of a node or a VTEP: prefixes of others may contain it. Only what
 * the plan before allowed is among the others.
 */
const hasSingleInTheWay = (
  peer: Peer,
  others: ReadonlyMap<string, Peer>,
  own: OverlayNode,
  underlay: Underlay,
): boolean => {
  const singles = new Set(peer.singles.map(({ text }) => text));
  const isTaken = ({ addresses, gateways }: Peer): boolean =>
    addresses.some(({ text }) => singles.has(hostPrefix(text))) || singles.has(hostPrefix(gateways[4]));
  if (singles.size > 0) {
    if (peer.singles.some(({ cidr: { family, prefixLength } }) => prefixLength !== bitsOf(family)))
      return true;
    if (peer.singles.some(({ cidr: { family } }) => peer.gateways[family] === '')) return true;
    if (singles.has(hostPrefix(underlay.address)) || isTaken(peer)) return true;
    if (own.podAddresses?.some((text) => singles.has(text))) return true;
  }
  const [host, gateway] = [hostPrefix(peer.address), hostPrefix(peer.gateways[4])];
  for (const other of others.values()) {
    if (singles.size > 0 && isTaken(other)) return true;
    for (const { text } of other.singles) {
      if (singles.has(text) || text === host || text === gateway) return true;
    }
  }
  return false;
};

const hostPrefix = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;

/** Whether one of the prefixes has to do with a prefix of the peer, or with its address. */
const meets = (peer: Peer, prefixes: readonly PodPrefix[]): boolean => {
  for (const { bits } of prefixes) if (overlap(bits, peer.host) || contains(peer, bits)) return true;
  return false;
};

const contains = (peer: Peer, other: PrefixBits): boolean => {
  for (const { bits } of peer.prefixes) if (overlap(bits, other)) return true;
  return false;
};

/** Puts an element into a list that is sorted by name. */
const insert = <T extends { name: string }>(list: T[], item: T): void => {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle]?.name ?? '') <= item.name) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, item);
};
