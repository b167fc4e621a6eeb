import { type Address, formatAddress, parseAddress } from '../../kernel/address-math.ts';
import { readdirSync } from '../../kernel/files.ts';
import { failedWith, ioFailure } from '../io-failure.ts';
import { type Place, type ReservationFile, readReservationFile } from './files.ts';
import type { Snapshot } from './memory-index.ts';
import { isSameOwner, type Reservation } from './record.ts';

/**
 * Reads all reservation files of a network. `known` are earlier records by address: one that still
 * describes the very same file is kept with its boot id and netns; a file seen for the first time gets
 * the current boot id. Throws CniError 5.
 */
export const scanDirectory = (place: Place, known: Map<string, Reservation>, bootId: string): Snapshot => {
  const snapshot: Snapshot = { reservations: new Map(), used: [] };
  try {
    for (const name of readdirSync(place.directory)) {
      const address = addressOfName(name);
      if (address === undefined) continue;
      const file = readLeniently(place, name);
      if (file === undefined) continue;
      snapshot.used.push(address);
      if (file.owner === undefined) continue;
      const earlier = known.get(name);
      const isKnown = earlier?.identity === file.identity && isSameOwner(earlier, file.owner);
      snapshot.reservations.set(
        name,
        isKnown ? earlier : { ...file.owner, address: name, identity: file.identity, bootId },
      );
    }
  } catch (error) {
    throw ioFailure(`read the reservations in ${place.directory}`, error);
  }
  return snapshot;
};

/** A file that is there but can't be read counts as somebody's reservation. */
const readLeniently = (place: Place, name: string): ReservationFile | undefined => {
  try {
    return readReservationFile(place, name);
  } catch (error) {
    if (failedWith(error, 'EACCES', 'EPERM', 'ELOOP', 'EIO', 'ENXIO'))
      return { owner: undefined, identity: '' };
    throw error;
  }
};

/** `lock`, `last_reserved_ip.0` and whatever else is not named as an address is no reservation. */
const addressOfName = (name: string): Address | undefined => {
  const address = parseAddress(name);
  return address !== undefined && formatAddress(address) === name ? address : undefined;
};
