import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { type Cidr, formatCidr, networkOf, parseCidr } from '../../shared/kernel/address-math.ts';
import type { EtcdClient } from '../../shared/store/etcd/client.ts';
import { hasEtcdProblem } from '../../shared/store/etcd/errors.ts';
import { isAbsent } from '../../shared/store/etcd/transaction.ts';
import type { RegistryKeys } from './etcd-keys.ts';
import { claimantOf, readRegistration } from './etcd-records.ts';
import { nextFreeSubnet } from './subnet-order.ts';

export interface SubnetSettings {
  /** What all pods of the cluster are in; of a family the first with a free prefix is used. */
  clusterCIDRs: string[];
  /** The length of a node's prefix; default 24 for IPv4, 64 for IPv6. */
  nodePrefixLengths?: { 4?: number; 6?: number } | undefined;
}

/**
 * A pod prefix of each family for a node: those it has, else free ones, which are then its own for good: made if absent,
 * so that no two nodes have the same. Throws CniError 7 for wrong settings, 11, or 102 when all prefixes are taken.
 */
export const claimSubnets = async (
  client: EtcdClient,
  keys: RegistryKeys,
  node: string,
  settings: SubnetSettings,
  signal: AbortSignal,
): Promise<string[]> => {
  const ranges = rangesOf(settings);
  const claimed: string[] = [];
  for (const family of [4, 6] as const) {
    const own = ranges.filter((range) => range.family === family);
    if (own.length > 0) claimed.push(await claimOne(client, keys, node, own, signal));
  }
  return claimed;
};

/** Whether these are still the node's own: cheaper than to list all that are claimed. */
export const areClaimed = async (
  client: EtcdClient,
  keys: RegistryKeys,
  node: string,
  prefixes: readonly string[],
  signal: AbortSignal,
): Promise<boolean> => {
  for (const prefix of prefixes) {
    const entry = await client.get(keys.subnet(prefix), { signal });
    if (entry === undefined || claimantOf(entry.value) !== node) return false;
  }
  return true;
};

interface Range extends Cidr {
  nodeLength: number;
}

const claimOne = async (
  client: EtcdClient,
  keys: RegistryKeys,
  node: string,
  ranges: Range[],
  signal: AbortSignal,
): Promise<string> => {
  for (let attempt = 0; attempt < 10; attempt++) {
    const { entries } = await client.range(keys.subnets, { signal });
    const claims = entries.flatMap(({ key, value }) => {
      const prefix = parseCidr(key.slice(keys.subnets.length));
      return prefix === undefined ? [] : [{ prefix, node: claimantOf(value) }];
    });
    const own = claims.find(
      (claim) => claim.node === node && ranges.some((range) => isOf(range, claim.prefix)),
    );
    if (own !== undefined) return formatCidr(own.prefix);
    // Nodes that were told their prefixes have no claims.
    const taken = [...claims.map(({ prefix }) => prefix), ...(await announcedPrefixes(client, keys, signal))];
    try {
      return await claimFree(client, keys, node, ranges, taken, signal);
    } catch (error) {
      // The list says whether it was done.
      if (!hasEtcdProblem(error, 'unanswered')) throw error;
    }
  }
  throw new CniError(ErrorCode.tryAgainLater, `etcd did not say whether "${node}" got a pod prefix`, {
    details: 'See that etcd runs and that this node reaches it, then try again.',
  });
};

const claimFree = async (
  client: EtcdClient,
  keys: RegistryKeys,
  node: string,
  ranges: Range[],
  taken: Cidr[],
  signal: AbortSignal,
): Promise<string> => {
  for (const range of ranges) {
    for (;;) {
      const free = nextFreeSubnet(range, range.nodeLength, node, taken);
      if (free === undefined) break;
      const key = keys.subnet(formatCidr(free));
      const value = JSON.stringify({ node });
      const { succeeded } = await client.transaction(
        { compare: [isAbsent(key)], success: [{ do: 'put', key, value }] },
        { signal },
      );
      if (succeeded) return formatCidr(free);
      taken.push(free);
    }
  }
  const tried = ranges.map((range) => `${formatCidr(range)} (/${range.nodeLength} each)`);
  throw new CniError(
    ErrorCode.addressUnavailable,
    `no pod prefix is free for the node "${node}" in ${tried.join(', ')}: all ${taken.length} are taken`,
    {
      details: `Add a cluster range, or free the prefixes of nodes that are gone for good: they are the keys below ${keys.subnets}.`,
    },
  );
};

/** Forgets which prefixes a node has. */
export const releaseSubnets = async (
  client: EtcdClient,
  keys: RegistryKeys,
  node: string,
  signal: AbortSignal,
): Promise<void> => {
  const { entries } = await client.range(keys.subnets, { signal });
  for (const { key, value, modRevision } of entries) {
    if (claimantOf(value) !== node) continue;
    await client.transaction(
      { compare: [{ key, modRevision }], success: [{ do: 'delete', key }] },
      { signal },
    );
  }
};

const announcedPrefixes = async (
  client: EtcdClient,
  keys: RegistryKeys,
  signal: AbortSignal,
): Promise<Cidr[]> => {
  const { entries } = await client.range(keys.nodes, { signal });
  return entries.flatMap(({ key, value }) => {
    const read = keys.read(key);
    if (read?.is !== 'registration') return [];
    const registration = readRegistration(key, read.name, value);
    if (typeof registration === 'string') return [];
    return registration.podCIDRs.map(parseCidr).filter((prefix) => prefix !== undefined);
  });
};

const isOf = (range: Range, prefix: Cidr): boolean =>
  prefix.family === range.family &&
  prefix.prefixLength === range.nodeLength &&
  networkOf({ ...prefix, prefixLength: range.prefixLength }).value === range.value;

/** The ranges with the length of a node's prefix in each. Throws CniError 7. */
const rangesOf = ({ clusterCIDRs, nodePrefixLengths = {} }: SubnetSettings): Range[] =>
  clusterCIDRs.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined || formatCidr(networkOf(cidr)) !== formatCidr(cidr)) {
      throw wrong(`the cluster range "${text}" is no prefix`, 'Write it as 10.244.0.0/16.');
    }
    const nodeLength = nodePrefixLengths[cidr.family] ?? (cidr.family === 4 ? 24 : 64);
    const longest = cidr.family === 4 ? 30 : 126;
    if (nodeLength < cidr.prefixLength || nodeLength > longest) {
      throw wrong(
        `a node's prefix of /${nodeLength} does not fit the cluster range ${text}`,
        `It must be from /${cidr.prefixLength} to /${longest}.`,
      );
    }
    return { ...cidr, nodeLength };
  });

const wrong = (message: string, details: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, message, { details });
