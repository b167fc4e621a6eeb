import type { Attachment } from '../cni/plugin.ts';
import type { Result } from '../cni/types.ts';
import { existsSync } from '../kernel/files.ts';
import { placeOf } from '../store/reservations/files.ts';
import { collectGarbage } from '../store/reservations/garbage.ts';
import { heldOrLost } from '../store/reservations/held.ts';
import type { Owner } from '../store/reservations/record.ts';
import { type ReservationStore, type StoreOptions, withReservations } from '../store/reservations/store.ts';
import { emptyState, type NodeState, readAnyState, stateDirectory, writeState } from './node-state.ts';

/** Where a network's addresses are on this node: all that giving them back needs. */
export interface LocalPlace {
  dataDir: string;
  network: string;
  /** The time, in ms since 1970. */
  now: () => number;
}

/**
 * Frees all addresses of a container on this node. Of those with a record in the datastore it is noted that this is to
 * be told; true when there is anything to tell. Throws CniError 5 or 11.
 */
export const releaseHere = (
  place: LocalPlace,
  owner: Owner,
  prevResult: Result | undefined,
  options: StoreOptions = {},
): Promise<boolean> =>
  changing(
    place,
    (store, state) => {
      for (const reservation of heldOrLost(store, owner, prevResult)) store.release(reservation);
      store.tidy();
      noteReleases(store, state, place.now());
    },
    options,
  );

/** The same for all containers but those of the valid attachments. Throws CniError 5 or 11. */
export const releaseOthers = (
  place: LocalPlace,
  valid: Attachment[],
  startedAt: number,
  options: StoreOptions = {},
): Promise<boolean> =>
  changing(
    place,
    (store, state) => {
      try {
        collectGarbage(store, valid, startedAt);
      } finally {
        noteReleases(store, state, place.now());
      }
    },
    options,
  );

/** Fixed addresses whose container no longer holds them, whoever freed them. */
export const noteReleases = (store: ReservationStore, state: NodeState, now: number): void => {
  for (const [address, note] of Object.entries(state.fixed)) {
    if (!note.isOurs || note.releasedAt !== undefined) continue;
    const holder = store.holderOf(address)?.owner;
    if (holder?.containerId === note.containerId) continue;
    note.releasedAt = new Date(now).toISOString();
  }
};

const changing = async (
  { dataDir, network }: LocalPlace,
  body: (store: ReservationStore, state: NodeState) => void,
  options: StoreOptions,
): Promise<boolean> => {
  const place = placeOf(dataDir, network);
  if (!existsSync(place.directory)) return false;
  return withReservations(
    place,
    (store) => {
      const directory = stateDirectory(dataDir, network);
      const state = readAnyState(directory);
      const before = JSON.stringify(state);
      body(store, state ?? emptyState('', ''));
      if (state !== undefined && JSON.stringify(state) !== before) writeState(directory, state);
      return Object.values(state?.fixed ?? {}).some(({ releasedAt }) => releasedAt !== undefined);
    },
    options,
  );
};
