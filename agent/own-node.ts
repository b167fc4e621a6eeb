import type { OverlayNode, OverlaySettings } from '../shared/overlay/types.ts';
import { detectUnderlay } from '../shared/overlay/underlay.ts';
import type { EtcdRegistry } from './registry/etcd.ts';
import type { EtcdRegistrySettings } from './registry-settings.ts';

export interface OwnNodeSettings {
  node: string;
  overlay: OverlaySettings;
  registry: EtcdRegistrySettings;
}

/**
 * What this node tells the others of itself: the underlay's address, and the pod ranges that it was given or
 * claims. Throws CniError 7 or 50 when it has no underlay, 102 when no range is free.
 */
export const describeOwnNode = async (
  { node, overlay, registry: { podCIDRs, clusterCIDRs } }: OwnNodeSettings,
  registry: EtcdRegistry,
  signal: AbortSignal,
): Promise<OverlayNode> => {
  const { address } = detectUnderlay({ addresses: [] }, overlay);
  const ranges =
    podCIDRs.length > 0 ? podCIDRs : await registry.claimPodCIDRs(node, { clusterCIDRs }, signal);
  return { name: node, addresses: [address], podCIDRs: ranges };
};
