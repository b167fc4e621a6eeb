import type { Address } from '../kernel/address-math.ts';
import type { Owner } from '../store/reservations/record.ts';
import type { Asker } from './choose.ts';

/** What an ADD wants. */
export interface AddressRequest {
  owner: Owner;
  netns: string;
  asker: Asker;
  /** One address of each; undefined: of every family that a pool for this pod has. */
  families: readonly (4 | 6)[] | undefined;
  /** These very ones. */
  requested: readonly Address[];
  /** The addresses are kept for whoever comes with the same key. */
  sticky: { key: string; holdSeconds: number } | undefined;
  /** `<namespace>/<name>`; empty where the runtime told none. */
  pod: string;
}
