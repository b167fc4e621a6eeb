import { delegateVerb } from '../cni/delegate.ts';
import type { Attachment, Call } from '../cni/plugin.ts';
import { listLinks } from '../kernel/link.ts';
import { listAttachments, removeOtherAttachments } from '../store/attachments.ts';
import { combineErrors, deleteLink } from './detach.ts';
import { collectFilters } from './filters.ts';
import { aliasPrefix, hostInterfaceName, isOurAlias } from './host-interface-name.ts';
import { parseRemovalKeys } from './network-keys.ts';

/**
 * GC for pods attached by a veth: host ends, packet filter, addresses and records of this network that
 * belong to no valid attachment, whether or not there is a record of them. It goes on after a failure
 * and reports all of them at the end.
 */
export const collectAttachments = async (call: Call, valid: Attachment[]): Promise<void> => {
  const network = call.config.name;
  const { ipamType } = parseRemovalKeys(call.config.json);
  const errors: unknown[] = [];
  const attempt = async (work: () => Promise<void> | void): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      errors.push(error);
      return false;
    }
  };

  const linksGone = await attempt(() => deleteStaleLinks(network, valid));
  await attempt(() => collectFilters(network, valid));
  // As long as a stale pod still has its link, its address must not be given to another.
  if (ipamType !== '' && linksGone) await attempt(() => delegateVerb(call, 'GC', ipamType));
  if (errors.length === 0) removeOtherAttachments(network, valid);
  const error = combineErrors(errors);
  if (error !== undefined) throw error;
};

/**
 * A host end is this network's by its alias, or by a record where it has no alias of ours (a kill may come
 * before that is set), and stale when no valid attachment has its name.
 */
const deleteStaleLinks = async (network: string, valid: Attachment[]): Promise<void> => {
  const kept = new Set(
    valid.map(({ containerID, ifname }) => hostInterfaceName({ network, containerId: containerID, ifname })),
  );
  const recorded = new Set(listAttachments(network).map(({ hostInterface }) => hostInterface));
  const prefix = aliasPrefix(network);
  const stale = listLinks().filter(
    ({ name, kind, alias }) =>
      kind === 'veth' &&
      !kept.has(name) &&
      (isOurAlias(alias) ? alias?.startsWith(prefix) : recorded.has(name)),
  );
  const outcomes = await Promise.allSettled(stale.map(({ name }) => deleteLink(name)));
  const error = combineErrors(
    outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : [])),
  );
  if (error !== undefined) throw error;
};
