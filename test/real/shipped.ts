import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { keptBridge, keptPortmapChains } from '../support/snapshot.ts';

/** A network list of conf/, in a spec version that the runtime knows. */
export interface ShippedConflist {
  cniVersion: string;
  name: string;
  plugins: { type: string; capabilities?: Record<string, boolean> }[];
}

/** What both lists of conf/ call between them. */
export const shippedPlugins = ['bridge', 'host-local', 'portmap', 'bandwidth', 'firewall', 'tuning'];

/** The first address of each family that a network of conf/ gives out. */
export const shippedAddresses = ['10.244.1.2', 'fd00:10:244:1::2'];

/** Reads conf/<file>, for this spec version alone. */
export const readShipped = (file: string, cniVersion: string): ShippedConflist => {
  expectPlugins(podwireBin, ...shippedPlugins);
  const path = resolve(import.meta.dirname, '../../conf', file);
  const { cniVersions: _, ...list } = JSON.parse(readFileSync(path, 'utf8'));
  return { ...list, cniVersion };
};

/** For `allow`: the frames that portmap and firewall, ours and the reference's, keep for the next pod. */
export const keptFrames: RegExp[] = [
  ...keptPortmapChains,
  /^nft (table|set|map|chain|rule) inet podwire_firewall( |$)/,
  /^ip6?tables-\S+ filter (:CNI-(FORWARD|ADMIN)|-A (FORWARD|CNI-FORWARD) .*-j CNI-(FORWARD|ADMIN)$)/,
  /^nft chain ip6? filter CNI-(FORWARD|ADMIN)$/,
  /^nft rule ip6? filter (FORWARD|CNI-FORWARD) .*"target":"CNI-(FORWARD|ADMIN)"/,
];

/** For `allow`: what a network of conf/ keeps for the next pod. */
export const keptByShipped: RegExp[] = [...keptBridge('podwire0'), ...keptFrames];
