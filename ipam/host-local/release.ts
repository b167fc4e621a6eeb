import type { Attachment, Call } from '../../shared/cni/plugin.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { collectGarbage } from '../../shared/store/reservations/garbage.ts';
import { heldOrLost } from '../../shared/store/reservations/held.ts';
import { type StoreOptions, withReservations } from '../../shared/store/reservations/store.ts';
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
      for (const reservation of heldOrLost(store, env, config.prevResult)) store.release(reservation);
      store.tidy();
    },
    options,
  );
};

/** GC: frees the addresses of all attachments but the valid ones. Throws CniError 5 or 11. */
export const gc = async (
  { config, startedAt = Date.now() }: Call,
  valid: Attachment[],
  options: StoreOptions = {},
): Promise<void> => {
  const place = parsePlace(config);
  if (!existsSync(place.directory)) return;
  await withReservations(place, (store) => collectGarbage(store, valid, startedAt), options);
};
