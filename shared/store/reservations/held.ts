import type { Result } from '../../cni/types.ts';
import { formatAddress, parseCidr } from '../../kernel/address-math.ts';
import { isSameOwner, type Owner, type Reservation } from './record.ts';
import type { ReservationStore } from './store.ts';

/**
 * What an attachment holds: files with its containerID and ifname, or else those with the containerID
 * alone, as reference versions before 0.8 wrote them.
 */
export const heldBy = (store: ReservationStore, { containerId, ifname }: Owner): Reservation[] => {
  const exact = store.ownedBy({ containerId, ifname });
  return exact.length > 0 ? exact : store.ownedBy({ containerId, ifname: '' });
};

/** As `heldBy`, and from the directory where prevResult tells that the index has lost the record. */
export const heldOrLost = (
  store: ReservationStore,
  owner: Owner,
  prevResult: Result | undefined,
): Reservation[] => {
  const held = heldBy(store, owner);
  if (held.length > 0 || !isHeldAnyway(store, owner, prevResult)) return held;
  store.rescan();
  return heldBy(store, owner);
};

/** Whether a file of prevResult's addresses names the attachment, of which the index has lost the record. */
const isHeldAnyway = (store: ReservationStore, owner: Owner, prevResult: Result | undefined): boolean =>
  (prevResult?.ips ?? []).some(({ address }) => {
    const cidr = parseCidr(address);
    const holder = cidr && store.holderOf(formatAddress(cidr))?.owner;
    return holder !== undefined && isSameOwner(holder, owner);
  });
