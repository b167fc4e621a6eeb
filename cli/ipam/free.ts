import { type IpamNode, withNode } from '../../shared/ipam/node.ts';
import { noteReleases } from '../../shared/ipam/release.ts';
import type { Reservation } from '../../shared/store/reservations/record.ts';

/**
 * Frees reservations on this node, as far as they are still the very ones that were looked at; of those with a record
 * it is noted that the datastore is to be told. Returns what was freed. Throws CniError 5, 7 or 11.
 */
export const freeHere = (ipam: IpamNode, reservations: readonly Reservation[]): Promise<string[]> =>
  withNode(ipam, (store, state) => {
    const wanted = new Map(reservations.map((each) => [each.address, each.identity]));
    const freed: string[] = [];
    for (const reservation of store.all()) {
      if (wanted.get(reservation.address) !== reservation.identity || !store.isIntact(reservation)) continue;
      store.release(reservation);
      freed.push(reservation.address);
    }
    noteReleases(store, state, ipam.now());
    return freed;
  });
