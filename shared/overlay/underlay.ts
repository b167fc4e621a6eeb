import { CniError, ErrorCode } from '../cni/errors.ts';
import { type AddressState, listAddresses, readAddresses } from '../kernel/address.ts';
import { parseAddress } from '../kernel/address-math.ts';
import { type LinkState, listLinks, readLink } from '../kernel/link.ts';
import { type RouteState, readRoutes } from '../kernel/route.ts';
import type { OverlayNode, OverlaySettings, Underlay } from './types.ts';

/**
 * Finds the device and the address, in the netns of the calling thread, that carry traffic to other nodes.
 * Configured: the device, and of its addresses the best (`bestAddress`); or the address, and its device.
 * Automatic: the first of the node's registered addresses that this host has, else the best address of the
 * default route's device. Throws CniError 7 when what is configured is not there, 50 when nothing is found.
 */
export const detectUnderlay = (
  own: Pick<OverlayNode, 'addresses'>,
  { underlay }: Pick<OverlaySettings, 'underlay'>,
): Underlay => {
  if (underlay === undefined) return automatic(own);
  if (parseAddress(underlay) !== undefined) {
    const found = findAddress(underlay);
    if (found !== undefined) return found;
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `"underlay" is ${underlay}, which is no address of this host`,
      { details: 'Give an address that a device of this host has, the name of the device, or neither.' },
    );
  }
  const link = readLink(underlay);
  if (link === undefined) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `"underlay" is "${underlay}", and there is no such device`,
      { details: `The devices of this host are: ${names()}.` },
    );
  }
  return describe(link, own) ?? refuseWithoutAddress(link);
};

/**
 * The address of a device that other nodes should use: one that the node is registered with, in that order,
 * else the first of global scope that is neither temporary nor deprecated nor in doubt, IPv4 before IPv6.
 */
export const bestAddress = (
  addresses: readonly AddressState[],
  registered: readonly string[],
): string | undefined => {
  const usable = addresses.filter(isUsable);
  for (const address of registered) {
    if (usable.some((candidate) => candidate.address === address)) return address;
  }
  const stable = usable.filter(
    ({ deprecated, family, secondary }) => !deprecated && (family === 4 || !secondary),
  );
  const candidates = stable.length > 0 ? stable : usable;
  return (candidates.find(({ family }) => family === 4) ?? candidates[0])?.address;
};

const isUsable = ({ scope, tentative, dadFailed }: AddressState): boolean =>
  scope < SCOPE_LINK && !tentative && !dadFailed;

const SCOPE_LINK = 253;

const automatic = (own: Pick<OverlayNode, 'addresses'>): Underlay => {
  for (const address of own.addresses) {
    const found = findAddress(address);
    if (found !== undefined) return found;
  }
  const link = defaultRouteLink();
  const found = link && describe(link, own);
  if (found !== undefined) return found;
  const addresses = own.addresses.length === 0 ? 'none' : own.addresses.join(', ');
  throw new CniError(
    ErrorCode.notAvailable,
    `no underlay was found: ${link ? `the default route's device "${link.name}" has no global address` : 'there is no default route'}, and this host has none of the node's addresses (${addresses})`,
    { details: 'Give "underlay" the device or the address that leads to the other nodes.' },
  );
};

/** The underlay with that very address; undefined when no device has it. */
const findAddress = (address: string): Underlay | undefined => {
  const holder = listAddresses().find((candidate) => candidate.address === address && isUsable(candidate));
  const link = holder && readLink(holder.linkIndex);
  if (link === undefined) return undefined;
  // An address of the host as a whole (routed to it, on `lo` or a dummy) is reached over another device.
  return underlayOf(isHostOnly(link) ? (defaultRouteLink() ?? link) : link, address);
};

const isHostOnly = ({ name, kind }: LinkState): boolean => name === 'lo' || kind === 'dummy';

const describe = (link: LinkState, own: Pick<OverlayNode, 'addresses'>): Underlay | undefined => {
  const address = bestAddress(readAddresses(link.index), own.addresses);
  return address === undefined ? undefined : underlayOf(link, address);
};

const underlayOf = ({ name, index, mtu }: LinkState, address: string): Underlay => ({
  device: name,
  index,
  mtu,
  address,
  subnets: readAddresses(index)
    .filter(({ scope, peer }) => scope < SCOPE_LINK && peer === undefined)
    .map((own) => `${own.address}/${own.prefixLength}`),
});

const defaultRouteLink = (): LinkState | undefined => {
  for (const family of [4, 6] as const) {
    const index = defaultRouteIndex(readRoutes(family, { table: MAIN_TABLE }));
    const link = index === undefined ? undefined : readLink(index);
    if (link !== undefined) return link;
  }
  return undefined;
};

/** The device of the default route that the kernel prefers; undefined when there is none. */
export const defaultRouteIndex = (routes: readonly RouteState[]): number | undefined => {
  let best: RouteState | undefined;
  for (const route of routes) {
    if (!/^(0\.0\.0\.0|::)\/0$/.test(route.dst) || route.linkIndex === undefined) continue;
    if (best === undefined || (route.priority ?? 0) < (best.priority ?? 0)) best = route;
  }
  return best?.linkIndex;
};

const MAIN_TABLE = 254;

const refuseWithoutAddress = ({ name }: LinkState): never => {
  throw new CniError(ErrorCode.notAvailable, `the underlay device "${name}" has no global address`, {
    details: 'Give it an address that other nodes can reach, or name another device as "underlay".',
  });
};

const names = (): string =>
  listLinks()
    .map(({ name }) => name)
    .join(', ');
