import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { type Address, formatAddress } from '../../shared/kernel/address-math.ts';
import { type AddressSet, isSameAddress, setHolds } from '../../shared/store/reservations/spans.ts';

/**
 * Gives each set the first requested address that lies in it and is not given to an earlier set.
 * Throws CniError 102 when one is left over, or is a gateway.
 */
export const assignRequested = (sets: AddressSet[], requested: Address[]): AddressSet[] => {
  const left = [...requested];
  const assigned = sets.map((set) => {
    const index = left.findIndex((address) => setHolds(set, address));
    const [address] = index < 0 ? [] : left.splice(index, 1);
    if (address === undefined) return set;
    if (set.excluded.some((gateway) => isSameAddress(gateway, address))) {
      throw unavailable(
        `requested address ${formatAddress(address)} is the gateway's`,
        'Request another address.',
      );
    }
    return { ...set, requested: address };
  });
  if (left.length === 0) return assigned;
  throw unavailable(
    `requested addresses can't all be given: ${left.map(formatAddress).join(', ')}`,
    'Each must lie in one of the ranges, and each range set gives one address.',
  );
};

const unavailable = (message: string, details: string): CniError =>
  new CniError(ErrorCode.addressUnavailable, message, { details });
