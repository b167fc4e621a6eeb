import { delegateVerb } from '../cni/delegate.ts';
import type { Call } from '../cni/plugin.ts';
import { DetachedFeatures } from '../features/detach.ts';
import { allDone } from '../filter/all-done.ts';
import type { Owner } from '../filter/owner.ts';
import { readLink } from '../kernel/link.ts';
import type { Netns } from '../kernel/netns.ts';
import { readAttachment, removeAttachment } from '../store/attachments.ts';
import { containerNetnsIfPresent } from './container-netns.ts';
import { deleteLink } from './delete-link.ts';
import { removeFilters } from './filters.ts';
import { hasHostEnd, hostEndOf } from './host-end.ts';
import { hostInterfaceName, isOurAlias } from './host-interface-name.ts';
import { parseRemovalKeys } from './network-keys.ts';
import { ownerOf } from './owner.ts';

/**
 * DEL for a pod attached by a veth, in any state of decay: link and rules at once, as the kernel makes
 * either wait some 15 ms, and the address last, so that it is not given to another pod while this one
 * still uses it. What is not there is fine; what can't be removed is thrown after the rest was tried.
 */
export const detach = async (call: Call): Promise<void> => {
  const keys = parseRemovalKeys(call.config.json);
  const owner = ownerOf(call);
  const { network, containerId, ifname } = owner;
  const record = readAttachment(network, containerId, ifname);
  const netns = containerNetnsIfPresent(call.env);
  const features = new DetachedFeatures(call, record);
  const [links, filters] = await Promise.allSettled([
    allDone([detachLinks(owner, netns), features.deleteLinks()]),
    removeFilters(owner, record, keys, features.filterRemovals),
  ]);
  if (links.status === 'rejected') throw links.reason;
  if (keys.ipamType !== '') await delegateVerb(call, 'DEL', keys.ipamType);
  if (filters.status === 'rejected') throw filters.reason;
  await features.finish(netns);
  removeAttachment(network, containerId, ifname);
};

/**
 * Removes the attachment's veth: by its host end, and where that is not ours (the pod was made by the
 * reference plugin) by CNI_IFNAME in the container, unless another attachment has that: an ADD that
 * found the name taken is followed by a DEL. Returns when it is gone for everybody, not when `ip` has
 * sat out the kernel's grace period.
 */
export const detachLinks = async (owner: Owner, netns: Netns | undefined): Promise<void> => {
  if (hasHostEnd(owner)) await deleteLink(hostInterfaceName(owner));
  if (netns === undefined) return;
  const pod = netns.run(() => readLink(owner.ifname));
  if (pod?.kind !== 'veth' || isOurAlias(hostEndOf(pod)?.alias)) return;
  await deleteLink(owner.ifname, netns);
};
