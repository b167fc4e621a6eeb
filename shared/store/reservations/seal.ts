import { isObject } from '../../cni/fields.ts';
import { readFileSync, statSync, unlinkSync, utimesSync } from '../../kernel/files.ts';
import { failedWith } from '../io-failure.ts';
import { overwrite, type Place } from './files.ts';

/** What the index holds beyond its parts. */
export interface Seal {
  /** False when no record is older than the current boot, so that nothing can be stale. */
  mayHoldStale: boolean;
}

/**
 * The seal of an index that describes the directory as it is now; undefined when there is none, when
 * the directory was changed since (by the reference, by a call that was killed half-way, by hand), or
 * when it is from another boot: after a crash, parts of the index may never have reached the disk.
 */
export const readSeal = (place: Place, bootId: string): Seal | undefined => {
  try {
    const seal: unknown = JSON.parse(readFileSync(sealFile(place)));
    if (!isObject(seal) || seal.format !== FORMAT || seal.bootId !== bootId) return undefined;
    return seal.directory === fingerprint(place) ? { mayHoldStale: seal.mayHoldStale !== false } : undefined;
  } catch {
    return undefined;
  }
};

/**
 * Declares the index true of the directory as it is now. First sets the directory's modification time
 * two seconds back: the kernel stamps changes with a clock that ticks every 1 to 10 ms, so a change
 * right after ours could else leave the same time; now any change makes a later one.
 * Throws the system's error.
 */
export const writeSeal = (place: Place, bootId: string, { mayHoldStale }: Seal): void => {
  const past = BigInt(Date.now() - 2000) * 1_000_000n;
  utimesSync(place.directory, past, past);
  const seal = { format: FORMAT, bootId, directory: fingerprint(place), mayHoldStale };
  overwrite(sealFile(place), JSON.stringify(seal), 0o600);
};

/** Declares the index untrue, before it is changed in a way that leaves no trace in the directory. */
export const breakSeal = (place: Place): void => {
  try {
    unlinkSync(sealFile(place));
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) throw error;
  }
};

const FORMAT = 1;

const sealFile = ({ indexDirectory }: Place): string => `${indexDirectory}/seal`;

const fingerprint = ({ directory }: Place): string => {
  const { ino, mtimeNs, ctimeNs } = statSync(directory);
  return `${ino}:${mtimeNs}:${ctimeNs}`;
};
