import { delegateVerb } from '../cni/delegate.ts';
import { CniError, toCniError } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import type { Owner } from '../filter/owner.ts';
import { commandFailure } from '../kernel/command.ts';
import { readLink } from '../kernel/link.ts';
import type { Netns } from '../kernel/netns.ts';
import { startCommand } from '../kernel/running-command.ts';
import { readAttachment, removeAttachment } from '../store/attachments.ts';
import { containerNetnsIfPresent } from './container-netns.ts';
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
  const [links, filters] = await Promise.allSettled([
    detachLinks(owner, netns),
    removeFilters(owner, record, keys),
  ]);
  if (links.status === 'rejected') throw links.reason;
  if (keys.ipamType !== '') await delegateVerb(call, 'DEL', keys.ipamType);
  if (filters.status === 'rejected') throw filters.reason;
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

/** Deletes a link of the host, or of `netns`, if it is there. Throws CniError 100 when it stays. */
export const deleteLink = async (name: string, netns?: Netns): Promise<void> => {
  const inside = <T>(body: () => T): T => (netns === undefined ? body() : netns.run(body));
  const isGone = (): boolean => inside(() => readLink(name)) === undefined;
  if (isGone()) return;
  const args = ['link', 'delete', 'dev', name];
  const command = inside(() => startCommand('ip', args));
  const ended = await command.settled(isGone).catch((error: unknown) => {
    // An ip that was killed may have done it before.
    if (isGone()) return undefined;
    throw error;
  });
  if (ended === undefined || isGone()) return;
  throw commandFailure('ip', args, ended, `could not remove the interface "${name}"`);
};

/** One error for several: the first one's code, everybody's message. */
export const combineErrors = (errors: unknown[]): CniError | undefined => {
  const all = errors.map(toCniError);
  const [first] = all;
  if (first === undefined || all.length === 1) return first;
  return new CniError(first.code, all.map(({ message }) => message).join('; '), {
    details:
      all
        .map(({ details }) => details ?? '')
        .filter(Boolean)
        .join(' ') || undefined,
  });
};
