import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { Attachment } from '../../cni/plugin.ts';
import type { Reservation } from './record.ts';
import { isLocalFileSystem } from './stale.ts';
import type { ReservationStore } from './store.ts';

/**
 * Frees the addresses of all attachments but the valid ones. Files that name nobody stay: nothing tells whose they are.
 * So do those made since `startedAt` (ms since 1970), for an ADD that the runtime did not know of when it made its
 * list; a time that is yet to come is that of a clock which was set back since, unless the file system is another
 * machine's. Throws CniError 5 that tells every failure.
 */
export const collectGarbage = (store: ReservationStore, valid: Attachment[], startedAt: number): void => {
  const attachments = new Set(valid.map(({ containerID, ifname }) => `${containerID} ${ifname}`));
  const containers = new Set(valid.map(({ containerID }) => containerID));
  const isValid = ({ containerId, ifname }: Reservation) =>
    ifname === '' ? containers.has(containerId) : attachments.has(`${containerId} ${ifname}`);
  const latest = isLocalFileSystem(store.place.directory) ? Date.now() : Number.POSITIVE_INFINITY;
  const isNew = (madeAt: number) => madeAt > startedAt && madeAt <= latest;
  store.tidy();
  const errors = store.sweep((reservation) => isValid(reservation) || isNew(madeAtMs(reservation)));
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
