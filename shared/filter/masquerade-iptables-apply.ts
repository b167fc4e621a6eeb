import type { Attachment } from '../cni/plugin.ts';
import {
  IP_FAMILIES,
  type IpFamily,
  type IptablesTable,
  readIptablesTable,
  startNatTransaction,
} from '../kernel/iptables.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { allDone } from './all-done.ts';
import { ADDITION_MS, changeIptables, DELETION_MS, type IptablesPlace } from './iptables-change.ts';
import { chooseIptablesVariant, nftHolds, variantsHolding } from './iptables-variant.ts';
import {
  chainName,
  collectCommands,
  createCommands,
  type GoneInterface,
  type IptablesMasquerade,
  iptablesMasquerade,
  missingCommands,
  missingRules,
  removeCommands,
  removePresentCommands,
  strangeRules,
} from './masquerade-iptables.ts';
import type { Owner } from './owner.ts';
import type { PodAddress } from './pod-address.ts';

/**
 * Masquerades by iptables: one `iptables-restore` for each family, at once; a second, after a look at
 * what is there, when the container has its chain already. All or nothing. Throws CniError 100.
 */
export const applyIptables = async (
  socket: NftSocket,
  owner: Owner,
  addresses: readonly PodAddress[],
): Promise<void> => {
  const variant = chooseIptablesVariant(socket);
  const outcomes = await Promise.allSettled(
    wantedByFamily(owner, addresses).map(({ family, wanted }) =>
      applyFamily({ socket, family, variant }, wanted),
    ),
  );
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure === undefined) return;
  await removeIptables(socket, owner, { addresses, expected: true }).catch(() => {});
  throw failure.reason;
};

export interface RemovalOptions {
  /** Only these addresses' rules, and the chain when it serves no other; without it, all of the chain. */
  addresses?: readonly PodAddress[] | undefined;
  /** Without `addresses`: those of the container's other interfaces, whose rules stay. */
  spared?: readonly PodAddress[] | undefined;
  /** The rules are probably there: then no time is spent on looking first. */
  expected?: boolean;
}

/**
 * Removes a container's rules from both families, in whichever variant they are. No child is started
 * where netlink and /proc show that there is none. Throws CniError 100.
 */
export const removeIptables = async (
  socket: NftSocket,
  owner: Owner,
  options: RemovalOptions = {},
): Promise<void> => {
  await allDone(IP_FAMILIES.map((family) => removeFamily(socket, family, owner, options)));
};

/** What is missing of a container's rules, each for a reader; in whichever variant they are. */
export const findIptablesLacks = (
  socket: NftSocket,
  owner: Owner,
  addresses: readonly PodAddress[],
): string[] =>
  wantedByFamily(owner, addresses).flatMap(({ family, wanted }) => {
    const lacks = variantsHolding(socket, family, wanted.chain).map((variant) =>
      ruleLacks(family, wanted, readIptablesTable(family, variant, 'nat')),
    );
    lacks.sort((first, second) => first.length - second.length);
    return lacks[0] ?? [`IPv${family} chain ${wanted.chain} is missing`];
  });

/** What a table lacks of the rules, or has besides them in their chain, each for a reader. */
export const ruleLacks = (family: IpFamily, wanted: IptablesMasquerade, table: IptablesTable): string[] => [
  ...missingRules(wanted, table).map((rule) => `IPv${family} rule "${rule}" is missing`),
  ...strangeRules(wanted, table).map((rule) => `IPv${family} rule "${rule}" is not podwire's`),
];

/**
 * Removes the chains of a network's containers that are not in `keep`, and what is `gone` of those that
 * are. Throws CniError 100.
 */
export const collectIptables = async (
  socket: NftSocket,
  network: string,
  keep: readonly Attachment[],
  gone: readonly GoneInterface[],
): Promise<void> => {
  const containers = keep.map(({ containerID }) => containerID);
  for (const family of IP_FAMILIES) {
    for (const variant of variantsHolding(socket, family, 'POSTROUTING')) {
      const ofFamily = gone.map(({ containerId, addresses }) => ({
        containerId,
        addresses: addresses.filter((address) => address.family === family),
      }));
      await change({ socket, family, variant }, (table) =>
        collectCommands(network, containers, table, ofFamily),
      );
    }
  }
};

/** What a container wants of each family that it has addresses of. */
export const wantedByFamily = (
  { network, containerId }: Owner,
  addresses: readonly PodAddress[],
): { family: IpFamily; wanted: IptablesMasquerade }[] =>
  IP_FAMILIES.flatMap((family) => {
    const ours = addresses.filter((address) => address.family === family);
    return ours.length === 0 ? [] : [{ family, wanted: iptablesMasquerade(network, containerId, ours) }];
  });

type Place = Omit<IptablesPlace, 'table'>;

const applyFamily = async (place: Place, wanted: IptablesMasquerade): Promise<void> => {
  const { socket, family, variant } = place;
  // The chain shows at once with all the rest; for the legacy variant, the end of the child has to do.
  const isDone = (): boolean => nftHolds(socket, family, wanted.chain);
  if (!isDone()) {
    const result = await startNatTransaction(socket, family, variant, createCommands(wanted)).settled(
      isDone,
      ADDITION_MS,
    );
    if (result === undefined || result.exitCode === 0) return;
  }
  await change(place, (table) => missingCommands(wanted, table));
};

const removeFamily = async (
  socket: NftSocket,
  family: IpFamily,
  { network, containerId }: Owner,
  { addresses, spared = [], expected = false }: RemovalOptions,
): Promise<void> => {
  const chain = chainName(network, containerId);
  const ours = addresses?.filter((address) => address.family === family);
  if (ours?.length === 0) return;
  const jumpsFrom = (pods: readonly PodAddress[]): string[] =>
    iptablesMasquerade(
      network,
      containerId,
      pods.filter((pod) => pod.family === family),
    ).jumps;
  const jumps = ours && jumpsFrom(ours);
  const staying = jumpsFrom(spared);
  for (const variant of variantsHolding(socket, family, chain)) {
    const held = nftHolds(socket, family, chain);
    const isDone = (): boolean => held && !nftHolds(socket, family, chain);
    if (jumps !== undefined && (expected || held)) {
      const child = startNatTransaction(socket, family, variant, removeCommands({ chain, jumps }));
      const result = await child.settled(isDone, DELETION_MS);
      if (result === undefined || result.exitCode === 0) continue;
    }
    await change(
      { socket, family, variant },
      (table) =>
        removePresentCommands(chain, table, (jump) => jumps?.includes(jump) ?? !staying.includes(jump)),
      isDone,
    );
  }
};

/** Changes the nat table by a plan that is made from what is there. */
const change = (
  place: Place,
  plan: (table: IptablesTable) => string[] | undefined,
  isDone?: () => boolean,
): Promise<void> =>
  changeIptables(
    { ...place, table: 'nat' },
    { plan, ...(isDone && { isDone }), feature: 'ipMasq', attempts: 4 },
  );
