import { type Cidr, contains } from '../kernel/address-math.ts';
import { noEntries, type WantedEntries } from './entries.ts';
import { readNodeAddress, readPodPrefix } from './known-texts.ts';
import { describePeer, hostPrefix, type Peer } from './peers.ts';
import { byName, type OverlayPlan } from './plan.ts';
import { planPeer } from './plan-peer.ts';
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
      skipped.push({ name, reason: peer });
      continue;
    }
    if (isInTheWay(peer, peers, known, underlay)) return undefined;
    peers.set(name, peer);
    const planned = planPeer(peer, mode, underlay, after);
    if (planned.state !== undefined) states.push(planned.state);
    skipped.push(...planned.skipped);
  }
  states.sort(byName);
  skipped.sort(byName);
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
    isSameList(node.podCIDRs, other.podCIDRs));

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, index) => text === b[index]);

/** Whether a peer has something that another, or this node, has. Why is for a whole plan to say. */
const isInTheWay = (
  peer: Peer,
  others: ReadonlyMap<string, Peer>,
  { state }: OverlayPlan,
  underlay: Underlay,
): boolean => {
  const host = hostOf(peer.address);
  const ownHost = hostOf(underlay.address);
  if (peer.mac === state.mac) return true;
  for (const text of state.podCIDRs) {
    const prefix = readPodPrefix(text);
    if (typeof prefix !== 'string' && meets(peer, host, prefix.cidr)) return true;
  }
  for (const { cidr } of peer.prefixes) if (overlap(cidr, host) || overlap(cidr, ownHost)) return true;
  for (const other of others.values()) {
    if (other.mac === peer.mac) return true;
    for (const { cidr } of other.prefixes) if (meets(peer, host, cidr)) return true;
    const otherHost = hostOf(other.address);
    for (const { cidr } of peer.prefixes) if (overlap(cidr, otherHost)) return true;
  }
  return false;
};

const meets = (peer: Peer, host: Cidr | undefined, prefix: Cidr): boolean =>
  overlap(prefix, host) || peer.prefixes.some(({ cidr }) => overlap(cidr, prefix));

const overlap = (a: Cidr, b: Cidr | undefined): boolean =>
  b !== undefined &&
  a.family === b.family &&
  (a.prefixLength <= b.prefixLength ? contains(a, b) : contains(b, a));

const hostOf = (text: string): Cidr | undefined => {
  const read = readNodeAddress(text);
  return typeof read === 'string' ? undefined : hostPrefix(read.address);
};
