import type { FailedLine } from '../kernel/batch.ts';
import type { WantedEntries } from './entries.ts';
import type { OverlayPlan } from './plan.ts';
import type { PeerState, SkippedPeer } from './types.ts';
import { vtepMac } from './vtep.ts';

/**
 * What cannot be had although it was tried again: entries are taken out of `entries` with the kernel's word
 * for it in `refused`, by prefix or MAC; what cannot be removed is told in `messages`.
 */
export const refusalsOf = (
  failed: readonly FailedLine[],
  {
    entries,
    refused,
    messages,
  }: { entries: WantedEntries; refused: Map<string, string>; messages: string[] },
): void => {
  for (const { line, message } of failed) {
    const words = line.split(' ');
    const [object, verb, what = ''] = words;
    const reason = `"${line}" failed: ${message}`;
    if (verb === 'del') {
      messages.push(reason);
      continue;
    }
    const mac = object === 'neigh' ? words[words.indexOf('lladdr') + 1] : what;
    if (object === 'route' && entries.routes.delete(what)) refused.set(what, reason);
    else if (mac !== undefined && object !== 'route') refused.set(mac, reason);
    if (object === 'neigh') entries.neighbours.delete(what);
    if (object === 'fdb') entries.fdb.delete(what);
  }
};

/** The plan's peers less what was refused of them, and those who are so skipped, too. */
export const reachedPeers = (
  { peers, skipped }: OverlayPlan,
  refused: ReadonlyMap<string, string>,
): { peers: PeerState[]; skipped: SkippedPeer[] } => {
  if (refused.size === 0) return { peers, skipped };
  const reached: PeerState[] = [];
  const left: SkippedPeer[] = [...skipped];
  for (const peer of peers) {
    const ofMac = peer.via === 'vxlan' ? refused.get(vtepMac(peer.name)) : undefined;
    const reasons = ofMac ? [ofMac] : peer.podCIDRs.flatMap((prefix) => refused.get(prefix) ?? []);
    for (const reason of reasons) left.push({ name: peer.name, reason });
    const podCIDRs = ofMac ? [] : peer.podCIDRs.filter((prefix) => !refused.has(prefix));
    if (podCIDRs.length > 0) reached.push({ ...peer, podCIDRs });
  }
  return { peers: reached, skipped: left };
};
