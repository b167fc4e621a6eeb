import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Attachment } from '../cni/plugin.ts';
import type { IpConfig } from '../cni/types.ts';
import { type FilterBackend, filterStatus } from '../filter/backend.ts';
import type { FilterPart } from '../filter/filter-part.ts';
import {
  applyMasquerade,
  checkMasquerade,
  collectMasquerade,
  type GoneAttachment,
  type RemoveOptions,
  removeMasquerade,
} from '../filter/masquerade.ts';
import type { NftPlan } from '../filter/nft-plan.ts';
import type { Owner } from '../filter/owner.ts';
import type { MasqueradeAddress } from '../filter/pod-address.ts';
import { removeReferenceLeftovers } from '../filter/reference-leftovers.ts';
import { SPOOF_SETS, spoofCheckPlan } from '../filter/spoof-check.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { type AttachmentRecord, listAttachments } from '../store/attachments.ts';
import type { Findings } from './check-pod.ts';
import type { NetworkKeys, RemovalKeys } from './network-keys.ts';

/** What a plugin wants of the packet filter for one attachment. */
export interface FilterOptions {
  backend?: FilterBackend | undefined;
  /** The pod's addresses, when its traffic is to be masqueraded. */
  masquerade: IpConfig[];
  /** The port and the only MAC that may speak there. */
  spoofCheck?: { port: string; mac: string } | undefined;
  /** What further features want, and the socket they have; for ADD. */
  parts?: readonly FilterPart[];
  socket?: NftSocket | undefined;
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
  const { parts = [], socket } = options;
  const isOurs = addresses.length > 0 || plans.length > 0;
  if (!isOurs && parts.length === 0) return nothingStarted;
  // The spoof check alone is nftables' affair, whatever does the masquerade.
  const wanted = addresses.length === 0 ? 'nftables' : options.backend;
  const applied = applyMasquerade(owner, addresses, { backend: wanted, fresh, plans, parts, socket });
  return {
    applied: isOurs ? applied : handled(applied.then(() => undefined)),
    remove: async () => {
      // One that failed may have made its part: a tool may be killed after the kernel took its orders.
      const backend = await applied.catch(() => undefined);
      const all = [...plans, ...parts.flatMap((part) => part.plans)];
      await removeMasquerade(owner, { addresses, backend, plans: all });
    },
  };
};

const nothingStarted: StartedFilters = { applied: Promise.resolve(undefined), remove: async () => {} };

/** A failure is that of `applied`, which the caller awaits after other work. */
const handled = <T>(work: Promise<T>): Promise<T> => {
  work.catch(() => {});
  return work;
};

/**
 * Removes the packet filter's part of an attachment. With the record of our own ADD it is known what to
 * remove; without one it is looked for, in what the reference plugins make, too. `parts` are what further
 * features have.
 */
export const removeFilters = async (
  owner: Owner,
  record: AttachmentRecord | undefined,
  keys: RemovalKeys,
  parts?: RemoveOptions['parts'],
): Promise<void> => {
  const own = ownRemoval(owner, record, keys);
  if (own === undefined && parts === undefined) return;
  await removeMasquerade(owner, { ...(own ?? NOTHING), ...(parts && { parts }) });
  // Nobody knows what it was.
  if (own?.spared !== undefined) await removeReferenceLeftovers(owner, own.spared);
};

/** What is to go for masquerade and spoof check; undefined when there is nothing. */
const ownRemoval = (
  owner: Owner,
  record: AttachmentRecord | undefined,
  { masquerade, spoofCheck }: RemovalKeys,
): RemoveOptions | undefined => {
  if (record?.complete === true && record.filter === undefined) return undefined;
  const sets = spoofCheck || record?.spoofCheck === true ? SPOOF_SETS : [];
  if (record?.filter !== undefined) return { addresses: record.addresses, backend: record.filter, sets };
  if (!masquerade && record?.masquerade !== true && sets.length === 0) return undefined;
  return { sets, spared: otherAttachments(owner).flatMap(({ addresses }) => addresses) };
};

const NOTHING: RemoveOptions = { addresses: [], backend: 'nftables' };

/** Adds to `findings` what the packet filter lacks. */
export const checkFilters = (
  owner: Owner,
  record: AttachmentRecord | undefined,
  findings: Findings,
  options: FilterOptions,
): void => {
  const plans = spoofPlans(owner, options);
  const addresses = masqueradeAddresses(options.masquerade);
  if (addresses.length === 0 && plans.length === 0) return;
  const problems = possibleBackends(addresses, record, options).map((backend) =>
    filterProblem(() => checkMasquerade(owner, addresses, backend, plans)),
  );
  const [problem] = problems;
  if (problem !== undefined && !problems.includes(undefined)) findings.add(problem);
};

/**
 * Where an attachment's rules may be. A record that was lost leaves both: nftables if that ADD was ours,
 * iptables if it was the reference plugin's, whose rules are those of our iptables backend.
 */
const possibleBackends = (
  addresses: unknown[],
  record: AttachmentRecord | undefined,
  { backend }: FilterOptions,
): FilterBackend[] => {
  const known = addresses.length === 0 ? 'nftables' : (backend ?? record?.filter);
  return known === undefined ? ['nftables', 'iptables'] : [known];
};

/** What a check of the packet filter found, undefined when nothing; other failures are thrown. */
const filterProblem = (check: () => void): string | undefined => {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof CniError && error.code === ErrorCode.checkFailed) return error.message;
    throw error;
  }
};

/** Removes what the packet filter has of this network's attachments that are not in `valid`. */
export const collectFilters = (network: string, valid: Attachment[]): Promise<void> =>
  collectMasquerade(network, valid, SPOOF_SETS, goneAttachments(network, valid));

/** Throws CniError 50 when the packet filter can't do what the configuration asks for. */
export const filtersStatus = ({ ipMasq, ipMasqBackend }: NetworkKeys, spoofCheck: boolean): void => {
  if (ipMasq) filterStatus(ipMasqBackend);
  if (spoofCheck) filterStatus('nftables');
};

/** The addresses with the subnets inside which they need no masquerade, for records and rules. */
export const masqueradeAddresses = (ips: IpConfig[]): MasqueradeAddress[] =>
  ips.map(({ address }) => ({ address: address.slice(0, address.indexOf('/')), subnet: address }));

/** The records of the container's other interfaces on the network. */
const otherAttachments = ({ network, containerId, ifname }: Owner): AttachmentRecord[] =>
  listAttachments(network).filter((record) => record.containerId === containerId && record.ifname !== ifname);

/** The recorded attachments that are not valid, without addresses that a valid one has by now. */
const goneAttachments = (network: string, valid: Attachment[]): GoneAttachment[] => {
  const isValid = (record: AttachmentRecord): boolean =>
    valid.some(({ containerID, ifname }) => containerID === record.containerId && ifname === record.ifname);
  const records = Map.groupBy(listAttachments(network), isValid);
  const kept = new Set(
    (records.get(true) ?? []).flatMap(({ addresses }) => addresses).map(({ address }) => address),
  );
  return (records.get(false) ?? []).map(({ containerId, addresses }) => ({
    containerId,
    addresses: addresses.filter(({ address }) => !kept.has(address)),
  }));
};

const spoofPlans = (owner: Owner, { spoofCheck }: FilterOptions): NftPlan[] =>
  spoofCheck === undefined ? [] : [spoofCheckPlan(owner, spoofCheck.port, spoofCheck.mac)];
