import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { Result } from '../../shared/cni/types.ts';
import { formatAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { heldBy } from '../../shared/store/reservations/held.ts';
import { type AddressSet, setHolds } from '../../shared/store/reservations/spans.ts';
import { type StoreOptions, withReservations } from '../../shared/store/reservations/store.ts';
import { addressSets } from './address-sets.ts';
import { parseHostLocal, parsePlace } from './config.ts';

/**
 * CHECK: the attachment holds addresses, and these are prevResult's. Throws CniError 105 that names
 * the difference; 7 for wrong input, 5 or 11.
 */
export const check = async ({ env, config }: Call, options: StoreOptions = {}): Promise<void> => {
  const sets = addressSets({ ...parseHostLocal(config, env), requested: [] });
  const place = parsePlace(config);
  const held = existsSync(place.directory)
    ? await withReservations(place, (store) => heldBy(store, env).map(({ address }) => address), options)
    : [];
  const problem = compare(held, config.prevResult, sets);
  if (problem === undefined) return;
  throw new CniError(
    ErrorCode.checkFailed,
    `container ${env.containerId} ${env.ifname}: ${problem} (in ${place.directory})`,
    { details: 'Something else freed or changed the reservation. DEL and ADD the attachment again.' },
  );
};

/**
 * What differs between the addresses held and those in prevResult; undefined when nothing does.
 * Addresses of prevResult outside the ranges are other plugins' affair.
 */
const compare = (held: string[], prevResult: Result | undefined, sets: AddressSet[]): string | undefined => {
  if (held.length === 0) return 'no address is reserved for it';
  if (prevResult === undefined) return undefined;
  const given = prevResult.ips.flatMap(({ address }) => parseCidr(address) ?? []);
  const texts = given.map(formatAddress);
  const lost = given.find(
    (address) => sets.some((set) => setHolds(set, address)) && !held.includes(formatAddress(address)),
  );
  if (lost !== undefined) return `prevResult has ${formatAddress(lost)}, but it is not reserved for it`;
  const unknown = held.find((address) => !texts.includes(address));
  return unknown === undefined ? undefined : `${unknown} is reserved for it, but prevResult has it not`;
};
