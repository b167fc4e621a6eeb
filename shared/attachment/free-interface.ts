import { CniError, ErrorCode } from '../cni/errors.ts';
import { show } from '../cni/fields.ts';
import type { Call } from '../cni/plugin.ts';
import { isPlainWord } from '../kernel/batch.ts';
import { readLink } from '../kernel/link.ts';
import { type Netns, openNetnsIfPresent } from '../kernel/netns.ts';
import { type AttachmentRecord, readAttachment } from '../store/attachments.ts';
import { detachLinks } from './detach.ts';
import { hasHostEnd } from './host-end.ts';
import { ownerOf } from './owner.ts';

/**
 * Sees to it that neither CNI_IFNAME in the container nor the attachment itself is there already, before
 * anything is reserved: were the conflict found later, undoing this ADD would take address and link from
 * the one that succeeded. What an ADD of the same attachment left that was killed half-way is removed; one
 * that was killed between completing its record and its output can't be told from one that succeeded, and
 * counts as such: a repeated ADD is refused until there was a DEL. Nobody has to meet that. A runtime must
 * not repeat an ADD without a DEL (SPEC.md, "Lifecycle & Ordering"), and those that see an ADD die call DEL,
 * and try again with another container id (containerd, CRI-O) or after that DEL (podman). To make the
 * attachment anew would be worse: the same call, sent twice by mistake, would cut off a pod that lives.
 * Throws CniError 103, or 4 for a name that the kernel would take but an `ip -batch` can't carry.
 */
export const requireFreeInterface = async (call: Call, netns: Netns): Promise<void> => {
  const owner = ownerOf(call);
  const { network, containerId, ifname } = owner;
  if (!isPlainWord(ifname)) throw unusableName(ifname);
  const isTaken = (): boolean => netns.run(() => readLink(ifname)) !== undefined;
  const record = readAttachment(network, containerId, ifname);
  if (record?.complete === true && hasHostEnd(owner) && isNetns(record.netns)) throw alreadyAttached(record);
  if (!isTaken()) return;
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

/** The kernel takes the veth away some time after its netns is gone; such a one is in nobody's way. */
const isNetns = (path: string): boolean => {
  const netns = openNetnsIfPresent(path);
  netns?.close();
  return netns !== undefined;
};

const alreadyAttached = ({ containerId, ifname, network, netns }: AttachmentRecord): CniError =>
  new CniError(
    ErrorCode.conflict,
    `container "${containerId}" is attached to network "${network}" as "${ifname}" already, in ${netns}`,
    { details: 'DEL it first: a container id and an interface name make one attachment of a network.' },
  );

const unusableName = (ifname: string): CniError =>
  new CniError(
    ErrorCode.invalidEnvironment,
    `CNI_IFNAME ${show(ifname)} cannot be handed to the ip command`,
    { details: 'Use a name without quotes, backslashes, "#" and control characters.' },
  );
