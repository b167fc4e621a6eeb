import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Attachment } from '../cni/plugin.ts';
import type { IpConfig } from '../cni/types.ts';
import { type FilterBackend, filterStatus } from '../filter/backend.ts';
import {
  applyMasquerade,
  checkMasquerade,
  collectMasquerade,
  removeMasquerade,
} from '../filter/masquerade.ts';
import { findNftLacks } from '../filter/nft-lacks.ts';
import type { NftPlan } from '../filter/nft-plan.ts';
import { applyNftPlans, removeNftElements } from '../filter/nft-transaction.ts';
import type { Owner } from '../filter/owner.ts';
import { removeReferenceLeftovers } from '../filter/reference-leftovers.ts';
import { SPOOF_SETS, spoofCheckPlan } from '../filter/spoof-check.ts';
import type { AttachmentRecord } from '../store/attachments.ts';
import type { Findings } from './check-pod.ts';

/** What a plugin wants of the packet filter for one attachment. */
export interface FilterOptions {
  backend?: FilterBackend | undefined;
  /** The pod's addresses, when its traffic is to be masqueraded. */
  masquerade: IpConfig[];
  /** The port and the only MAC that may speak there. */
  spoofCheck?: { port: string; mac: string } | undefined;
}

export interface StartedFilters {
  /** Resolves with the backend that was used, undefined when nothing was asked for. */
  applied: Promise<FilterBackend | undefined>;
  /** The undo; waits for what is under way. */
  remove: () => Promise<void>;
}

/**
 * Starts the packet filter's part of an ADD in one transaction; other work can be done until `applied`
 * is awaited. `fresh`: the node has no pod of this kind yet.
 */
export const startFilters = (owner: Owner, options: FilterOptions, fresh = false): StartedFilters => {
  const addresses = masqueradeAddresses(options.masquerade);
  const plans = spoofPlans(owner, options);
  if (addresses.length > 0) {
    const applied = applyMasquerade(owner, addresses, { backend: options.backend, fresh, plans });
    return {
      applied,
      remove: async () => {
        const backend = await applied.catch(() => undefined);
        if (backend !== undefined) await removeMasquerade(owner, { addresses, backend, plans });
      },
    };
  }
  if (plans.length === 0) return { applied: Promise.resolve(undefined), remove: async () => {} };
  const applied = applyNftPlans(plans, { fresh }).then((): FilterBackend => 'nftables');
  applied.catch(() => {});
  return {
    applied,
    remove: async () => {
      await applied.catch(() => {});
      await removeNftElements(plans.flatMap(({ elements }) => elements));
    },
  };
};

/** What DEL knows of the configuration; the record says more, where there is one. */
export interface RemovalHints {
  masquerade: boolean;
  spoofCheck: boolean;
}

/**
 * Removes the packet filter's part of an attachment. With the record of our own ADD it is known what to
 * remove; without one it is looked for, in what the reference plugins make, too.
 */
export const removeFilters = async (
  owner: Owner,
  record: AttachmentRecord | undefined,
  { masquerade, spoofCheck }: RemovalHints,
): Promise<void> => {
  if (record?.complete === true && record.filter === undefined) return;
  const sets = spoofCheck ? SPOOF_SETS : [];
  if (record?.filter !== undefined) {
    await removeMasquerade(owner, { addresses: record.addresses, backend: record.filter, sets });
    return;
  }
  if (!masquerade && !spoofCheck) return;
  await removeMasquerade(owner, { sets });
  await removeReferenceLeftovers(owner);
};

/** Adds to `findings` what the packet filter lacks. */
export const checkFilters = (
  owner: Owner,
  record: AttachmentRecord | undefined,
  findings: Findings,
  options: FilterOptions,
): void => {
  const plans = spoofPlans(owner, options);
  const addresses = masqueradeAddresses(options.masquerade);
  if (addresses.length === 0) {
    for (const { what } of findNftLacks(plans)) findings.add(what);
    return;
  }
  // Without a record the reference plugin made it, whose rules are those of our iptables backend.
  const backend = options.backend ?? record?.filter ?? 'iptables';
  try {
    checkMasquerade(owner, addresses, backend, plans);
  } catch (error) {
    if (!(error instanceof CniError) || error.code !== ErrorCode.checkFailed) throw error;
    findings.add(error.message);
  }
};

/** Removes what the packet filter has of this network's attachments that are not in `valid`. */
export const collectFilters = (network: string, valid: Attachment[]): Promise<void> =>
  collectMasquerade(network, valid, SPOOF_SETS);

/** Throws CniError 50 when the packet filter can't do what the configuration asks for. */
export const filtersStatus = (
  { masquerade, spoofCheck }: RemovalHints,
  backend: FilterBackend | undefined,
): void => {
  if (masquerade) filterStatus(backend);
  if (spoofCheck) filterStatus('nftables');
};

const masqueradeAddresses = (ips: IpConfig[]): { address: string; subnet: string }[] =>
  ips.map(({ address }) => ({ address: address.slice(0, address.indexOf('/')), subnet: address }));

const spoofPlans = (owner: Owner, { spoofCheck }: FilterOptions): NftPlan[] =>
  spoofCheck === undefined ? [] : [spoofCheckPlan(owner, spoofCheck.port, spoofCheck.mac)];
