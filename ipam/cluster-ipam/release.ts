import type { Attachment, Call } from '../../shared/cni/plugin.ts';
import { parseClusterIpam, parsePlace } from '../../shared/ipam/config.ts';
import { tellReleases } from '../../shared/ipam/give-back.ts';
import { maintain } from '../../shared/ipam/maintain.ts';
import { withRemote } from '../../shared/ipam/node.ts';
import { releaseHere, releaseOthers } from '../../shared/ipam/release.ts';
import type { StoreOptions } from '../../shared/store/reservations/store.ts';

/**
 * DEL: frees all addresses of the attachment. Fine when it holds none, whatever the pools are. Only a fixed or sticky
 * address is told to the datastore; when that is away, later. Throws CniError 5 or 11.
 */
export const del = async ({ env, config }: Call, options: StoreOptions = {}): Promise<void> => {
  const mustTell = await releaseHere(parsePlace(config), env, config.prevResult, options);
  if (!mustTell) return;
  await quietly(async () => {
    const { node } = parseClusterIpam(config);
    await withRemote(node, (datastore) => tellReleases(node, datastore), { deadlineMs: 1000 });
  });
};

/**
 * GC: frees the addresses of all attachments but the valid ones, then does what else is to be done from time to time, as
 * far as the datastore can be reached. Throws CniError 5 or 11.
 */
export const gc = async (
  { config, startedAt = Date.now() }: Call,
  valid: Attachment[],
  options: StoreOptions = {},
): Promise<void> => {
  const place = parsePlace(config);
  await releaseOthers(place, valid, startedAt, options);
  await quietly(async () => {
    const { node } = parseClusterIpam(config);
    await maintain(node, new Set(), { deadlineMs: 5000 });
  });
};

/** What concerns the datastore alone is done again: by the next call, by GC, by the agent. */
const quietly = async (body: () => Promise<void>): Promise<void> => {
  try {
    await body();
  } catch {
    // Noted in the node's state.
  }
};
