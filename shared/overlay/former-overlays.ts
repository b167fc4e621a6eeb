import { readdirSync } from 'node:fs';
import { parseCidr } from '../kernel/address-math.ts';
import { failedWith, ioFailure } from '../store/io-failure.ts';
import { readPodPrefix } from './known-texts.ts';
import { readNodeState } from './node-state.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { NodeState, OverlayNode } from './types.ts';

/**
 * The overlays with another VNI that this node has been in under the same name and with pod prefixes that overlap
 * those it has now: what is left of them leads to the same pods another way, so it is in the way of the overlay that
 * is to be. Throws CniError 5.
 */
export const formerOverlays = (own: OverlayNode, vni: number): NodeState[] =>
  vnis()
    .filter((other) => other !== vni)
    .flatMap((other) => readNodeState(other) ?? [])
    .filter(({ node, podCIDRs }) => node === own.name && overlaps(podCIDRs, own.podCIDRs));

const DIRECTORY = '/run/podwire/overlay';

const vnis = (): number[] => {
  try {
    return readdirSync(DIRECTORY)
      .filter((name) => /^[1-9]\d{0,7}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return [];
    throw ioFailure(`read ${DIRECTORY}`, error);
  }
};

const overlaps = (some: readonly string[], others: readonly string[]): boolean => {
  const index = new PrefixIndex<true>();
  for (const text of some) {
    const cidr = parseCidr(text);
    if (cidr !== undefined) index.add(cidr, true);
  }
  return others.some((text) => {
    const prefix = readPodPrefix(text);
    return typeof prefix !== 'string' && index.overlapping(prefix.cidr) === true;
  });
};
