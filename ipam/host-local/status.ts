import type { Call } from '../../shared/cni/plugin.ts';
import { readResolvConf } from '../../shared/ipam/resolv-conf.ts';
import { existsSync } from '../../shared/kernel/files.ts';
import { canAllocate } from '../../shared/store/reservations/allocate.ts';
import { exhaustionAdvice, exhaustionSummary } from '../../shared/store/reservations/exhaustion.ts';
import { type StoreOptions, withReservations } from '../../shared/store/reservations/store.ts';
import {
  asUnavailable,
  checkWritable,
  probe,
  unavailable,
} from '../../shared/store/reservations/writable.ts';
import { addressSets } from './address-sets.ts';
import { parseHostLocal, parsePlace } from './config.ts';

/**
 * STATUS: an ADD could get an address out of every range set, and write it down. Makes nothing that
 * stays. Throws CniError 50 with the reason; 7 for wrong input, 11 when the lock stays taken.
 */
export const status = async ({ env, config }: Call, options: StoreOptions = {}): Promise<void> => {
  const hostLocal = parseHostLocal(config, env);
  const place = parsePlace(config);
  const sets = addressSets({ ...hostLocal, requested: [] });
  await asUnavailable(async () => {
    if (hostLocal.resolvConf !== undefined) readResolvConf(hostLocal.resolvConf);
    if (!existsSync(place.directory)) return checkWritable(place.directory);
    await withReservations(
      place,
      (store) => {
        checkWritable(place.directory);
        probe(place);
        const full = sets.find((set) => !canAllocate(store, set));
        if (full !== undefined) throw unavailable(exhaustionSummary(full), exhaustionAdvice);
      },
      { deadlineMs: 5000, ...options },
    );
  });
};
