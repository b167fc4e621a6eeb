import { delegateVerb } from '../cni/delegate.ts';
import type { Attachment, Call } from '../cni/plugin.ts';
import { featureCollections } from '../features/detach.ts';
import { listLinks } from '../kernel/link.ts';
import {
  type AttachmentRecord,
  listAttachments,
  listCompletedSince,
  removeOtherAttachments,
} from '../store/attachments.ts';
import { combineErrors } from './combine-errors.ts';
import { deleteLink } from './delete-link.ts';
import { collectFilters } from './filters.ts';
import { aliasPrefix, hostInterfaceName, isOurAlias } from './host-interface-name.ts';
import { parseRemovalKeys } from './network-keys.ts';

/**
 * GC for pods attached by a veth: host ends, packet filter, addresses and records of this network that
 * belong to no valid attachment, whether or not there is a record of them. It goes on after a failure
 * and reports all of them at the end. The specification has the runtime hold back ADD meanwhile; where it
 * does not, an attachment that came after its list was made is spared.
 */
export const collectAttachments = async (given: Call, listed: Attachment[]): Promise<void> => {
  const network = given.config.name;
  const since = given.startedAt ?? Date.now();
  const recent = listCompletedSince(network, since).map(toAttachment);
  const valid = [...listed, ...recent];
  const call = recent.length === 0 ? given : withValid(given, valid);
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
  for (const collect of featureCollections(call, valid)) await attempt(collect);
  // As long as a stale pod still has its link, its address must not be given to another.
  if (ipamType !== '' && linksGone) await attempt(() => delegateVerb(call, 'GC', ipamType));
  if (errors.length === 0) removeOtherAttachments(network, valid);
  const error = combineErrors(errors);
  if (error !== undefined) throw error;
};

const toAttachment = ({ containerId, ifname }: AttachmentRecord): Attachment => ({
  containerID: containerId,
  ifname,
});

/** The call with another list, for the IPAM plugin. */
const withValid = (call: Call, valid: Attachment[]): Call => {
  const list = valid.map(({ containerID, ifname }) => ({ containerID, ifname }));
  const json = { ...call.config.json, 'cni.dev/valid-attachments': list };
  return {
    ...call,
    config: { ...call.config, json },
    stdin: new TextEncoder().encode(JSON.stringify(json)),
  };
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
