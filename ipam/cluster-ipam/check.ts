import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { Result } from '../../shared/cni/types.ts';
import { parseClusterIpam, requestOf } from '../../shared/ipam/config.ts';
import { poolsOf, withNode } from '../../shared/ipam/node.ts';
import { stateDirectory } from '../../shared/ipam/node-state.ts';
import type { Pool } from '../../shared/ipam/pool.ts';
import { spanOf } from '../../shared/ipam/ranges.ts';
import { isStillOurs } from '../../shared/ipam/sync.ts';
import { formatAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { spanHolds } from '../../shared/store/reservations/spans.ts';
import type { StoreOptions } from '../../shared/store/reservations/store.ts';

/**
 * CHECK: the attachment holds addresses, these are prevResult's, and they are still this node's to give. Asks nothing
 * remote. Throws CniError 105 that names the difference; 4 or 7 for wrong input, 5 or 11.
 */
export const check = async ({ env, config }: Call, options: StoreOptions = {}): Promise<void> => {
  const { node } = requestable(config, env);
  const problem = existsSync(stateDirectory(node.dataDir, node.network))
    ? await withNode(
        node,
        (store, state) => {
          const own = store.ownedBy(env);
          const held = own.map(({ address }) => address);
          const lost = own.find((reservation) => !isStillOurs(state, reservation))?.address;
          return (
            compare(held, config.prevResult, poolsOf(node, state).pools) ??
            (lost && `${lost} is another's by now: its block was reclaimed, or the pod was started elsewhere`)
          );
        },
        options,
      )
    : 'no address is reserved for it';
  if (problem === undefined) return;
  throw new CniError(ErrorCode.checkFailed, `container ${env.containerId} ${env.ifname}: ${problem}`, {
    details: `Something else freed or changed the reservation in ${node.dataDir}/${node.network}. DEL and ADD the attachment again.`,
  });
};

const requestable = (config: Call['config'], env: Call['env']) => {
  const cluster = parseClusterIpam(config);
  requestOf(cluster, config, env);
  return cluster;
};

/** What differs between the addresses held and those in prevResult; addresses of no pool are other plugins' affair. */
const compare = (
  held: readonly string[],
  prevResult: Result | undefined,
  pools: readonly Pool[],
): string | undefined => {
  if (held.length === 0) return 'no address is reserved for it';
  if (prevResult === undefined) return undefined;
  const given = prevResult.ips.flatMap(({ address }) => parseCidr(address) ?? []);
  const texts = given.map(formatAddress);
  const lost = given.find(
    (address) =>
      pools.some(({ cidr }) => spanHolds(spanOf(cidr), address)) && !held.includes(formatAddress(address)),
  );
  if (lost !== undefined) return `prevResult has ${formatAddress(lost)}, but it is not reserved for it`;
  const unknown = held.find((address) => !texts.includes(address));
  return unknown === undefined ? undefined : `${unknown} is reserved for it, but prevResult has it not`;
};
