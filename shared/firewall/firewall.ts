import { CniError, ErrorCode } from '../cni/errors.ts';
import { detectBackend } from '../filter/backend.ts';
import { applyFilterParts, type FilterPart } from '../filter/filter-part.ts';
import { chooseIptablesVariant } from '../filter/iptables-variant.ts';
import { findNftLacks } from '../filter/nft-lacks.ts';
import type { NftPlan } from '../filter/nft-plan.ts';
import { formatAddress, parseAddress } from '../kernel/address-math.ts';
import { hasIptables, IP_FAMILIES, type IpFamily } from '../kernel/iptables.ts';
import { readLink } from '../kernel/link.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { addToZone, findZoneLacks, firewalldIsRunning } from './firewalld.ts';
import { applyIptablesParts, findIptablesPartLacks, type IptablesPart } from './iptables-apply.ts';
import { DEFAULT_ADMIN_CHAIN, firewallRules } from './iptables-rules.ts';
import { type FilterTable, tableOf, tablesInUse, tablesThatDrop } from './iptables-state.ts';
import { firewallNftPlan } from './nft.ts';
import type { FirewallBackend, FirewallOptions, FirewallPod } from './options.ts';

/** What a pod's firewall consists of, in each of the packet filters. */
export interface FirewallPlan {
  /** The one that was given or chosen. */
  backend: FirewallBackend;
  /** For one transaction with what other features want of nftables. */
  nft: NftPlan[];
  iptables: IptablesPart[];
  /** Addresses for a zone of firewalld. */
  zone: { name: string; addresses: string[] } | undefined;
}

/**
 * Plans the firewall of a pod; reads the kernel, and changes nothing. Without `backend`: firewalld if it
 * runs; iptables where an administrator's chain is named, or where the FORWARD chain of either variant has a
 * rule or drops, as only an accept in there lets traffic pass then; else nftables where it works; else
 * iptables. With nftables and a FORWARD chain that drops, both: no table of ours can make another's drop
 * undone. Throws CniError 7 when a policy has no device to go by.
 */
export const planFirewall = (
  socket: NftSocket,
  given: FirewallPod,
  options: FirewallOptions,
): FirewallPlan => {
  const pod = { ...given, addresses: [...new Set(given.addresses.map(canonical))] };
  requireDevice(pod, options);
  const backend = options.backend ?? chooseBackend(socket, pod, options);
  // A policy needs a packet filter also where firewalld has the rest.
  const filter = backend === 'firewalld' ? chooseFilter(socket, pod, options) : backend;
  const policy = options.ingressPolicy;
  const hasNft = filter === 'nftables' && (backend === 'nftables' || policy !== 'open');
  // The host end of a veth is one pod's alone.
  const deviceIsShared =
    pod.deviceIsShared ?? (policy !== 'open' && readLink(pod.device ?? '')?.kind !== 'veth');
  return {
    backend,
    nft: hasNft ? [firewallNftPlan(pod, { addresses: backend === 'nftables', policy, deviceIsShared })] : [],
    iptables: iptablesParts(socket, pod, options, backend, filter),
    zone: backend === 'firewalld' ? { name: options.zone, addresses: pod.addresses } : undefined,
  };
};

/** What a plan needs of the packet filter; undo with `removeFirewall`. */
export const firewallPart = (socket: NftSocket, plan: FirewallPlan): FilterPart => ({
  plans: plan.nft,
  fresh: !frameIsWhole(socket, plan),
  apart: (shared) => applyApart(shared, plan),
});

/** Carries out all of a plan. Rejects with CniError 100, 103, 104 or 7; undo with `removeFirewall`. */
export const applyFirewall = (socket: NftSocket, plan: FirewallPlan): Promise<void> =>
  applyFilterParts(socket, [firewallPart(socket, plan)]);

/**
 * Whether what all pods share is as it should be in nftables. A policy must hold also where that was damaged,
 * which adding a pod's elements does not show: so ask before, and let `applyNftPlans` set it up if not.
 */
export const frameIsWhole = (socket: NftSocket, { nft }: FirewallPlan): boolean =>
  findNftLacks(
    socket,
    nft.map((plan) => ({ ...plan, elements: [] })),
  ).length === 0;

/** What is missing of a plan, each for a reader; for iptables with a child for each table. */
export const findFirewallLacks = (socket: NftSocket, plan: FirewallPlan): string[] => [
  ...findNftLacks(socket, plan.nft).map(({ what }) => what),
  ...findIptablesPartLacks(plan.iptables),
  ...(plan.zone === undefined ? [] : findZoneLacks(plan.zone.name, plan.zone.addresses)),
];

/** iptables and firewalld. The children run when this returns, but for those that have to look first. */
const applyApart = async (socket: NftSocket, { iptables, zone }: FirewallPlan): Promise<void> => {
  const work = applyIptablesParts(socket, iptables);
  try {
    if (zone !== undefined) addToZone(zone.name, zone.addresses);
  } finally {
    await work;
  }
};

const chooseBackend = (socket: NftSocket, pod: FirewallPod, options: FirewallOptions): FirewallBackend =>
  firewalldIsRunning() ? 'firewalld' : chooseFilter(socket, pod, options);

const chooseFilter = (socket: NftSocket, pod: FirewallPod, { adminChain }: FirewallOptions): Filter => {
  const isUsed = (): boolean => familiesOf(pod).some((family) => tablesInUse(socket, family).length > 0);
  const prefersIptables = hasIptables(4, 'default') && (adminChain !== undefined || isUsed());
  return prefersIptables ? 'iptables' : detectBackend(socket);
};

/** With the iptables backend all of it; with nftables the accepts alone, where a table would drop. */
const iptablesParts = (
  socket: NftSocket,
  pod: FirewallPod,
  options: FirewallOptions,
  backend: FirewallBackend,
  filter: Filter,
): IptablesPart[] => {
  const isIptables = filter === 'iptables';
  const accepts = backend !== 'firewalld';
  const policy = isIptables ? options.ingressPolicy : 'open';
  if (!accepts && policy === 'open') return [];
  return familiesOf(pod).flatMap((family) => {
    const own = pod.addresses.filter((address) => familyOf(address) === family);
    const wanted = firewallRules({
      addresses: accepts ? own : [],
      adminChain: options.adminChain ?? DEFAULT_ADMIN_CHAIN,
      policy,
      device: pod.device ?? '',
    });
    const tables = tablesFor(socket, family, isIptables);
    return tables.map((table) => ({ table, addresses: accepts ? own : [], wanted }));
  });
};

/** Where a drop would be: there alone when nothing else says which variant this node uses. */
const tablesFor = (socket: NftSocket, family: IpFamily, isIptables: boolean): FilterTable[] => {
  const dropping = tablesThatDrop(socket, family);
  if (!isIptables) return dropping;
  const chosen = tableOf(family, chooseIptablesVariant(socket));
  if (dropping.length > 0 && chosen.variant === 'default') return dropping;
  return [chosen, ...dropping.filter(({ variant }) => variant !== chosen.variant)];
};

type Filter = 'nftables' | 'iptables';

const familyOf = (address: string): IpFamily => (address.includes(':') ? 6 : 4);

const familiesOf = ({ addresses }: FirewallPod): IpFamily[] =>
  IP_FAMILIES.filter((family) => addresses.some((address) => familyOf(address) === family));

const canonical = (address: string): string => {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw new TypeError(`not an IP address: ${address}`);
  return formatAddress(parsed);
};

/** nft and iptables take these names literally; a `+` at the end of another would be iptables' wildcard. */
const requireDevice = ({ device = '' }: FirewallPod, { ingressPolicy }: FirewallOptions): void => {
  if (ingressPolicy === 'open' || /^[A-Za-z0-9_.-]{1,15}$/.test(device)) return;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    device === ''
      ? `"ingressPolicy" "${ingressPolicy}" needs an interface, and prevResult has none`
      : `"ingressPolicy" "${ingressPolicy}" cannot go by the interface ${JSON.stringify(device)}`,
    { details: 'Chain the firewall behind a plugin that reports its bridge, with a plain name, first.' },
  );
};
