import type { HeldAddress } from './observe.ts';

/** Something that is wrong between datastore, node and kernel. */
export interface Finding {
  /**
   * `leak`: taken, and used by nobody. `duplicate`: had by two, or about to be. `orphan`: belongs to nothing known.
   * `outside`: in no pool. `difference`: datastore and node say different things.
   */
  kind: FindingKind;
  /** What exactly it is, for programs. */
  code: string;
  /** The address, block or pool. */
  subject: string;
  what: string;
  /** What follows from it. */
  meaning: string;
  /** What to do; begins with the command where there is one. */
  remedy: string;
  /** Whether `podwire ipam gc` mends it, which it does only where nobody can be harmed. */
  gc: boolean;
  /** The reservation of a leak that gc frees. */
  leaked?: HeldAddress;
}

export const findingKinds = ['duplicate', 'leak', 'orphan', 'outside', 'difference'] as const;

export type FindingKind = (typeof findingKinds)[number];

/** A finding as a JSON object. */
export const findingObject = ({ leaked: _, ...finding }: Finding): Omit<Finding, 'leaked'> => finding;

export const gcCommand = 'podwire ipam gc';
