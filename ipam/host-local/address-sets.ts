import type { IpConfig } from '../../shared/cni/types.ts';
import { type Address, formatAddress, formatCidr } from '../../shared/kernel/address-math.ts';
import { type AddressSet, spanHolds } from '../../shared/store/reservations/spans.ts';
import type { HostLocalConfig, RangeSet } from './config.ts';
import { assignRequested } from './requested.ts';

/**
 * The configured range sets as the store allocates from them. No gateway of any range is given out;
 * the reference minds only that of the range it is searching. Throws CniError 102.
 */
export const addressSets = ({ sets, requested }: HostLocalConfig): AddressSet[] => {
  const excluded = sets.flatMap((set) => set.map(({ gateway }) => gateway));
  return assignRequested(
    sets.map((spans, id) => ({ id, spans, excluded })),
    requested,
  );
};

/** An address with the prefix length and the gateway of its range in the set. */
export const ipConfigOf = (set: RangeSet, address: Address): IpConfig => {
  const range = set.find((span) => spanHolds(span, address));
  if (range === undefined) throw new Error(`${formatAddress(address)} was given from a range without it`);
  return {
    address: formatCidr({ ...address, prefixLength: range.subnet.prefixLength }),
    gateway: formatAddress(range.gateway),
  };
};
