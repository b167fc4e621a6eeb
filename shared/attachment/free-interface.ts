import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import { readLink } from '../kernel/link.ts';
import type { Netns } from '../kernel/netns.ts';
import { readAttachment } from '../store/attachments.ts';
import { detachLinks } from './detach.ts';
import { ownerOf } from './owner.ts';

/**
 * Sees to it that CNI_IFNAME is free in the container before anything is reserved: were the conflict
 * found later, undoing this ADD would release the address of the one that succeeded. What an ADD of
 * the same attachment left that was killed half-way is removed. Throws CniError 103.
 */
export const requireFreeInterface = async (call: Call, netns: Netns): Promise<void> => {
  const { ifname } = call.env;
  const isTaken = (): boolean => netns.run(() => readLink(ifname)) !== undefined;
  if (!isTaken()) return;
  const owner = ownerOf(call);
  const record = readAttachment(owner.network, owner.containerId, owner.ifname);
  if (record !== undefined && record.complete !== true) {
    await detachLinks(owner, netns);
    if (!isTaken()) return;
  }
  throw new CniError(
    ErrorCode.conflict,
    `CNI_IFNAME "${ifname}" already exists in the container ${netns.path}`,
    {
      details: 'Use another interface name, or DEL the attachment that has it first.',
    },
  );
};
