import type { Attachment } from '../cni/plugin.ts';
import { allDone } from '../filter/all-done.ts';
import { ADDITION_MS, changeIptables, DELETION_MS, type IptablesPlace } from '../filter/iptables-change.ts';
import { chooseIptablesVariant, nftHolds, variantsHolding } from '../filter/iptables-variant.ts';
import type { Owner } from '../filter/owner.ts';
import type { PodAddress } from '../filter/pod-address.ts';
import {
  IP_FAMILIES,
  type IpFamily,
  type IptablesTable,
  legacyTablePresent,
  readIptablesTable,
  startNatTransaction,
} from '../kernel/iptables.ts';
import { readNftRuleMessages } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import {
  collectCommands,
  createCommands,
  DNAT_CHAIN,
  findMissing,
  type IptablesPortmap,
  iptablesPortmap,
  MASQ_CHAIN,
  missingCommands,
  portmapChain,
  removeCommands,
  removePresentCommands,
  SETMARK_CHAIN,
  usesOwnMark,
} from './iptables.ts';
import { boundPorts, type PortmapOptions } from './options.ts';

/**
 * Makes a pod's host ports with iptables: one `iptables-restore` for each family, both at once; a look at
 * the table comes before where netlink does not show that the frame is there, or that all is missing. The
 * caller undoes it with `removeIptablesPortmap`. Rejects with CniError 100.
 */
export const applyIptablesPortmap = async (
  socket: NftSocket,
  owner: Owner,
  options: PortmapOptions,
  addresses: readonly PodAddress[],
): Promise<void> => {
  const variant = chooseIptablesVariant(socket);
  await allDone(
    served(options, addresses).map((pod) =>
      applyFamily({ socket, family: pod.family, variant }, options, iptablesPortmap(owner, options, pod)),
    ),
  );
};

/** What ADD was given, from its record. */
export interface KnownPortmap {
  options: PortmapOptions;
  addresses: readonly PodAddress[];
}

/**
 * Removes a container's chain and the jumps to it from both families, in whichever variant they are. With
 * `known` no time is spent on looking first. No child is started where netlink and /proc show that there
 * is none. Rejects with CniError 100.
 */
export const removeIptablesPortmap = async (
  socket: NftSocket,
  owner: Owner,
  known?: KnownPortmap,
): Promise<void> => {
  await allDone(IP_FAMILIES.map((family) => removeFamily(socket, family, owner, known)));
};

/** What is missing of a container's rules, each for a reader; in whichever variant they are. */
export const findIptablesPortmapLacks = (
  socket: NftSocket,
  owner: Owner,
  options: PortmapOptions,
  addresses: readonly PodAddress[],
): string[] =>
  served(options, addresses).flatMap((pod) => {
    const { family } = pod;
    const wanted = iptablesPortmap(owner, options, pod);
    const lacks = variantsHolding(socket, family, wanted.chain).map((variant) =>
      findMissing(wanted, readIptablesTable(family, variant, 'nat')),
    );
    const [fewest] = lacks.toSorted((first, second) => first.length - second.length);
    if (fewest === undefined) return [`IPv${family} chain ${wanted.chain} is missing`];
    return fewest.map((rule) => `IPv${family} rule "${rule}" is missing`);
  });

/** Removes the chains of a network's containers that are not in `keep`. Rejects with CniError 100. */
export const collectIptablesPortmaps = async (
  socket: NftSocket,
  network: string,
  keep: readonly Attachment[],
): Promise<void> => {
  const containers = keep.map(({ containerID }) => containerID);
  for (const family of IP_FAMILIES) {
    for (const variant of variantsHolding(socket, family, DNAT_CHAIN)) {
      await change({ socket, family, variant }, (table) => collectCommands(network, containers, table));
    }
  }
};

/**
 * The addresses that get rules: not those all of whose ports another attachment of the container has, whose
 * chain this may be.
 */
const served = (options: PortmapOptions, addresses: readonly PodAddress[]): readonly PodAddress[] =>
  (options.except ?? []).length === 0
    ? addresses
    : addresses.filter(({ family }) => boundPorts(options, [family]).length > 0);

type Place = Omit<IptablesPlace, 'table'>;

const applyFamily = async (place: Place, options: PortmapOptions, wanted: IptablesPortmap): Promise<void> => {
  const { socket, family, variant } = place;
  // The chain shows at once with all the rest; for the legacy variant, the end of the child has to do.
  const isDone = (): boolean => nftHolds(socket, family, wanted.chain);
  const frame = isDone() ? 'unclear' : frameState(place, options);
  if (frame !== 'unclear') {
    const commands = createCommands(wanted, frame === 'absent');
    const child = startNatTransaction(socket, family, variant, commands);
    const result = await child.settled(isDone, ADDITION_MS);
    if (result === undefined || result.exitCode === 0) return;
  }
  await change(place, (table) => missingCommands(wanted, table));
};

/**
 * Whether the nft variant has what all pods share, as far as netlink shows it: the rules are searched for
 * the names and the mark that they must contain.
 */
const frameState = (
  { socket, family, variant }: Place,
  options: PortmapOptions,
): 'present' | 'absent' | 'unclear' => {
  if (variant === 'legacy' || (variant === 'default' && legacyTablePresent(family, 'nat'))) return 'unclear';
  const marks = usesOwnMark(options);
  const chains = marks ? [DNAT_CHAIN, MASQ_CHAIN, SETMARK_CHAIN] : [DNAT_CHAIN];
  const held = chains.filter((chain) => nftHolds(socket, family, chain));
  const holds = (chain: string, text: string): boolean =>
    readNftRuleMessages(socket, family === 4 ? 'ip' : 'ip6', 'nat', chain).some((message) =>
      new TextDecoder('latin1').decode(message).includes(text),
    );
  if (held.length === 0) {
    const hooks = ['PREROUTING', 'OUTPUT', 'POSTROUTING'];
    return hooks.some((hook) => holds(hook, 'CNI-HOSTPORT-')) ? 'unclear' : 'absent';
  }
  const mark = littleEndian(2 ** options.markMasqBit);
  const complete =
    held.length === chains.length &&
    ['PREROUTING', 'OUTPUT'].every((hook) => holds(hook, `${DNAT_CHAIN}\0`)) &&
    (!marks ||
      (holds('POSTROUTING', `${MASQ_CHAIN}\0`) &&
        holds(MASQ_CHAIN, mark) &&
        holds(SETMARK_CHAIN, mark + mark)));
  return complete ? 'present' : 'unclear';
};

/** A mark as a rule holds it: the host's byte order, which on x64 and arm64 is little-endian. */
const littleEndian = (value: number): string =>
  String.fromCharCode(...[0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff));

const removeFamily = async (
  socket: NftSocket,
  family: IpFamily,
  owner: Owner,
  known: KnownPortmap | undefined,
): Promise<void> => {
  const chain = portmapChain(owner.network, owner.containerId);
  const pods = known === undefined ? [] : served(known.options, known.addresses);
  const pod = pods.find((address) => address.family === family);
  if (known !== undefined && pod === undefined) return;
  for (const variant of variantsHolding(socket, family, chain)) {
    const held = nftHolds(socket, family, chain);
    const isDone = (): boolean => held && !nftHolds(socket, family, chain);
    if (known !== undefined && pod !== undefined) {
      const commands = removeCommands(iptablesPortmap(owner, known.options, pod));
      const result = await startNatTransaction(socket, family, variant, commands).settled(
        isDone,
        DELETION_MS,
      );
      if (result === undefined || result.exitCode === 0) continue;
    }
    await change({ socket, family, variant }, (table) => removePresentCommands(chain, table), isDone);
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
    { plan, ...(isDone && { isDone }), feature: 'portmap', attempts: 8 },
  );
