import { ownerOf } from '../../shared/attachment/owner.ts';
import { isObject } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { JsonValue } from '../../shared/cni/types.ts';
import type { NodeState } from '../../shared/overlay/types.ts';
import { readAttachment } from '../../shared/store/attachments.ts';

/** What an attachment's record has of the overlay: DEL and CHECK go by it, whatever the overlay is by then. */
export const overlayRecord = ({ vni, podCIDRs }: NodeState): Record<string, JsonValue> => ({
  overlay: { vni, podCIDRs },
});

/** The node's prefixes when the attachment was made; undefined without a record of it. */
export const recordedPrefixes = (call: Call): string[] | undefined => {
  const { network, containerId, ifname } = ownerOf(call);
  const overlay = readAttachment(network, containerId, ifname)?.overlay;
  if (!isObject(overlay) || !Array.isArray(overlay.podCIDRs)) return undefined;
  return overlay.podCIDRs.filter((prefix) => typeof prefix === 'string');
};
