import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { tellReleases } from '../../shared/ipam/give-back.ts';
import { type IpamNode, withRemote } from '../../shared/ipam/node.ts';
import { remoteCall, syncNode } from '../../shared/ipam/sync.ts';
import { parseAddress } from '../../shared/kernel/address-math.ts';
import { type Datastore, hasProblem, type StoredRecord } from '../../shared/store/datastore/datastore.ts';
import { freeHere } from './free.ts';
import { findIpamNetwork, type IpamFlags } from './network.ts';
import { planRelease, type ReleasePlan, type ReleaseTarget } from './plan-release.ts';
import { podNames } from './pod-names.ts';
import { print } from './print.ts';
import { survey } from './survey.ts';

export type ReleaseFlags = IpamFlags & Omit<ReleaseTarget, 'address'> & { force?: boolean; cacheDir: string };

/**
 * Frees an address, all of a pod, or all that a node has, here and in the datastore. Refuses what would break
 * something, unless forced. Throws CniError 4 for a wrong target, 102 when there is nothing of it, 103 when it
 * refuses, 11 when the datastore is away or somebody changed a record at the same time.
 */
export const release = async (address: string | undefined, flags: ReleaseFlags): Promise<void> => {
  const target = checkedTarget({ address, pod: flags.pod, node: flags.node });
  const { node } = findIpamNetwork(flags).cluster;
  const seen = await survey(node);
  // Half of a release is none: what is fixed would come back.
  if (seen.unreachable !== undefined) throw seen.unreachable;
  const names = podNames(node.network, flags.cacheDir, seen.remote?.addresses ?? []);
  const plan = planRelease(node, target, seen, names);
  if (plan.held.length + plan.records.length === 0) throw nothing(node, target);
  if (plan.harms.length > 0 && flags.force !== true) throw refused(target, plan);
  const done = await carryOut(node, plan);
  print(flags, { ...done, harms: plan.harms }, () =>
    [
      ...done.addresses.map((each) => `released ${each}\n`),
      ...done.blocks.map((each) => `released block ${each}\n`),
      ...plan.harms.map((harm) => `forced: ${harm}\n`),
    ].join(''),
  );
};

const carryOut = async (
  ipam: IpamNode,
  { held, records }: ReleasePlan,
): Promise<{ addresses: string[]; blocks: string[] }> => {
  const addresses = held.length > 0 ? await freeHere(ipam, held) : [];
  await withRemote(ipam, async (datastore) => {
    for (const record of records) await removeRecord(datastore, record);
    await tellReleases(ipam, datastore);
    await syncNode(ipam, datastore);
  });
  const fixed = records.flatMap(({ value }) => (typeof value.address === 'string' ? [value.address] : []));
  const blocks = records.flatMap(({ value }) => (typeof value.cidr === 'string' ? [value.cidr] : []));
  return { addresses: [...new Set([...addresses, ...fixed])], blocks };
};

/** One that is gone meanwhile is released; one that somebody changed is looked at again by the operator. */
const removeRecord = async (datastore: Datastore, record: StoredRecord): Promise<void> => {
  try {
    await datastore.remove(record, remoteCall);
  } catch (error) {
    if (!hasProblem(error, 'not-found')) throw error;
  }
};

const checkedTarget = (target: ReleaseTarget): ReleaseTarget => {
  const given = Object.values(target).filter((value) => value !== undefined).length;
  if (given !== 1) {
    throw wrong(
      'give one of ADDRESS, --pod NAMESPACE/NAME and --node NAME',
      'See podwire ipam release --help.',
    );
  }
  if (target.address !== undefined && parseAddress(target.address) === undefined) {
    throw wrong(
      `"${target.address}" is no IP address`,
      'Write it as 10.244.1.7 or fd00::7, without prefix length.',
    );
  }
  if (target.pod !== undefined && !/^[^/]+\/[^/]+$/.test(target.pod)) {
    throw wrong(`"${target.pod}" is no pod`, 'Write it as NAMESPACE/NAME.');
  }
  return target;
};

const wrong = (message: string, details: string): CniError =>
  new CniError(ErrorCode.invalidEnvironment, message, { details });

const nothing = (ipam: IpamNode, { address, pod, node }: ReleaseTarget): CniError =>
  new CniError(
    ErrorCode.addressUnavailable,
    address !== undefined
      ? `nobody on node ${ipam.node} holds ${address} of network "${ipam.network}", and the datastore has no record of it`
      : pod !== undefined
        ? `pod ${pod} has no address of network "${ipam.network}" that is known on node ${ipam.node}`
        : `node ${node} has no block and no fixed address`,
    {
      details:
        pod === undefined
          ? 'See podwire ipam show --by pod, and --by node. Dynamic addresses of other nodes are known there only.'
          : "Pods are known by the runtime's result cache and by records of fixed addresses. See podwire ipam show --by pod, and release the address.",
    },
  );

const refused = ({ address, pod, node }: ReleaseTarget, { harms }: ReleasePlan): CniError =>
  new CniError(
    ErrorCode.conflict,
    `${address ?? (pod === undefined ? `what node ${node} has` : `what pod ${pod} has`)} is in use or kept`,
    {
      details: [...harms, 'Nothing was released. With --force it is, all the same.'].join('\n'),
    },
  );
