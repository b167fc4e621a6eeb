import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Attachment, Call } from '../../shared/cni/plugin.ts';
import type { Result } from '../../shared/cni/types.ts';
import { formatAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { isSameOwner, type Owner, type Reservation } from '../../shared/store/reservations/record.ts';
import { isLocalFileSystem } from '../../shared/store/reservations/stale.ts';
import {
  type ReservationStore,
  type StoreOptions,
  withReservations,
} from '../../shared/store/reservations/store.ts';
import { parsePlace } from './config.ts';

/**
 * DEL: frees all addresses of the attachment. Fine when it holds none, whatever the configured ranges
 * are. Throws CniError 5 or 11.
 */
export const del = async ({ env, config }: Call, options: StoreOptions = {}): Promise<void> => {
  const place = parsePlace(config);
  if (!existsSync(place.directory)) return;
  await withReservations(
    place,
    (store) => {
      if (heldBy(store, env).length === 0 && isHeldAnyway(store, env, config.prevResult)) store.rescan();
      for (const reservation of heldBy(store, env)) store.release(reservation);
      store.tidy();
    },
    options,
  );
};

/** Whether a file of prevResult's addresses names the attachment, of which the index has lost the record. */
const isHeldAnyway = (store: ReservationStore, owner: Owner, prevResult: Result | undefined): boolean =>
  (prevResult?.ips ?? []).some(({ address }) => {
    const cidr = parseCidr(address);
    const holder = cidr && store.holderOf(formatAddress(cidr))?.owner;
    return holder !== undefined && isSameOwner(holder, owner);
  });

/**
 * GC: frees the addresses of all attachments but the valid ones. Files that name nobody stay: nothing
 * tells whose they are. So do those made since the process began, for an ADD that the runtime did not
 * know of when it made its list; a time that is yet to come is that of a clock which was set back since,
 * unless the file system is another machine's. Throws CniError 5 that tells every failure, or 11.
 */
export const gc = async (
  { config, startedAt = Date.now() }: Call,
  valid: Attachment[],
  options: StoreOptions = {},
): Promise<void> => {
  const place = parsePlace(config);
  if (!existsSync(place.directory)) return;
  const attachments = new Set(valid.map(({ containerID, ifname }) => `${containerID} ${ifname}`));
  const containers = new Set(valid.map(({ containerID }) => containerID));
  const isValid = ({ containerId, ifname }: Reservation) =>
    ifname === '' ? containers.has(containerId) : attachments.has(`${containerId} ${ifname}`);
  const hasOurClock = isLocalFileSystem(place.directory);
  const errors = await withReservations(
    place,
    (store) => {
      store.tidy();
      const latest = hasOurClock ? Date.now() : Number.POSITIVE_INFINITY;
      const isNew = (madeAt: number) => madeAt > startedAt && madeAt <= latest;
      return store.sweep((reservation) => isValid(reservation) || isNew(madeAtMs(reservation)));
    },
    options,
  );
  if (errors.length === 0) return;
  throw new CniError(
    ErrorCode.ioFailure,
    `${errors.length} reservations could not be removed: ${errors.map(({ message }) => message).join('; ')}`,
    { details: errors[0]?.details },
  );
};

/** When a reservation's file was made, in ms since 1970. */
const madeAtMs = ({ identity }: Reservation): number =>
  Number(BigInt(identity.split(':')[1] ?? 0) / 1_000_000n);

/**
 * What an attachment holds: files with its containerID and ifname, or else those with the containerID
 * alone, as reference versions before 0.8 wrote them.
 */
export const heldBy = (store: ReservationStore, { containerId, ifname }: Owner): Reservation[] => {
  const exact = store.ownedBy({ containerId, ifname });
  return exact.length > 0 ? exact : store.ownedBy({ containerId, ifname: '' });
};
