import { readFileSync } from 'node:fs';
import type { SpecVersion } from './case.ts';

/** Something that a directory of plugins is known to fail. */
export interface KnownFailure {
  /** The case's id. */
  case: string;
  plugins: readonly string[];
  /** All that the case is tried with unless given. */
  versions?: readonly SpecVersion[];
  /** What the plugin does instead, for readers. */
  reason: string;
  /** It depends on the moment: the case may pass as well. */
  sometimes?: true;
  /** Where it has been reported: `plugins#810`. Absent where nobody did. */
  issue?: string;
}

/** Reads a list of known failures. Throws when the file is missing or is no such list. */
export const readKnownFailures = (file: string): KnownFailure[] => {
  const list: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!Array.isArray(list) || !list.every(isKnownFailure))
    throw new Error(`${file} is no list of known failures`);
  return list;
};

/** The entry that expects this trial to fail, undefined when it has to succeed. */
export const findKnownFailure = (
  known: readonly KnownFailure[],
  trial: { case: string; plugin: string; version: SpecVersion },
): KnownFailure | undefined =>
  known.find(
    (entry) =>
      entry.case === trial.case &&
      entry.plugins.includes(trial.plugin) &&
      (entry.versions === undefined || entry.versions.includes(trial.version)),
  );

const isKnownFailure = (value: unknown): value is KnownFailure => {
  const entry = value as Partial<KnownFailure> | null;
  return typeof entry?.case === 'string' && Array.isArray(entry.plugins) && typeof entry.reason === 'string';
};
