import { CniError, ErrorCode, toCniError } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import {
  accessSync,
  closeSync,
  constants,
  dirname,
  existsSync,
  openSync,
  unlinkSync,
  writeFully,
} from '../../shared/kernel/files.ts';
import { canAllocate } from '../../shared/store/reservations/allocate.ts';
import { exhaustionAdvice, exhaustionSummary } from '../../shared/store/reservations/exhaustion.ts';
import type { Place } from '../../shared/store/reservations/files.ts';
import { type StoreOptions, withReservations } from '../../shared/store/reservations/store.ts';
import { addressSets } from './address-sets.ts';
import { parseHostLocal, parsePlace } from './config.ts';
import { readResolvConf } from './resolv-conf.ts';

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

/** What would stop an ADD is reported as "not available" (SPEC.md, "STATUS"); a busy lock passes as it is. */
const asUnavailable = async (body: () => Promise<void>): Promise<void> => {
  try {
    await body();
  } catch (error) {
    const { code, message, details } = toCniError(error);
    if (code === ErrorCode.tryAgainLater) throw error;
    throw unavailable(message, details, error);
  }
};

const unavailable = (message: string, details: string | undefined, cause?: unknown): CniError =>
  new CniError(ErrorCode.notAvailable, message, { details, cause });

/** The nearest directory that exists must take new files. */
const checkWritable = (directory: string): void => {
  let existing = directory;
  while (!existsSync(existing)) existing = dirname(existing);
  accessSync(existing, constants.W_OK | constants.X_OK);
};

/** Writes a file, which shows a full disk, a quota and a size limit; in our own directory, if there is one. */
const probe = ({ indexDirectory }: Place): void => {
  if (!existsSync(indexDirectory)) return;
  const file = `${indexDirectory}/probe`;
  const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
  try {
    writeFully(fd, 'probe');
  } finally {
    closeSync(fd);
    unlinkSync(file);
  }
};
