import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { podwireBin, referenceBin } from '../../support/binaries.ts';
import { systemPath } from '../../support/process.ts';
import { type SpecVersion, specVersions } from './case.ts';
import { type KnownFailure, readKnownFailures } from './known-failures.ts';

/** A directory of plugins under test. */
export interface Subject {
  /** For reports. */
  name: string;
  binDir: string;
  known: readonly KnownFailure[];
}

/**
 * What is tried: the directory that CONFORMANCE_BIN_DIR names, with the known failures in the file that
 * CONFORMANCE_KNOWN names; without the variable podwire itself, and beside it the reference plugins, which
 * show that the suite is right.
 */
export const subjects = (): Subject[] => {
  const { CONFORMANCE_BIN_DIR: binDir, CONFORMANCE_KNOWN: known } = process.env;
  if (binDir !== undefined) {
    return [
      { name: binDir, binDir: resolve(binDir), known: known === undefined ? [] : readKnownFailures(known) },
    ];
  }
  return [
    { name: 'podwire', binDir: podwireBin, known: [] },
    { name: 'containernetworking-plugins', binDir: referenceBin, known: readKnownFailures(referenceKnown) },
  ];
};

/** For a case's `subjects`: those that are not the reference, where that is installed to compare them with. */
export const isNotReference = ({ binDir }: Subject): boolean =>
  binDir !== referenceBin && existsSync(referenceBin);

const referenceKnown = resolve(import.meta.dirname, '../known/containernetworking-plugins-1.1.1.json');

/**
 * The versions to try a plugin with: those that its VERSION announces, of the suite's own, and of the one
 * that CONFORMANCE_SPEC names. None when the directory does not have the plugin.
 */
export const versionsOf = ({ binDir }: Subject, type: string): SpecVersion[] => {
  const file = `${binDir}/${type}`;
  if (!existsSync(file)) return [];
  const { stdout } = spawnSync(file, [], {
    env: { PATH: systemPath, CNI_COMMAND: 'VERSION' },
    input: JSON.stringify({ cniVersion: '1.0.0' }),
    encoding: 'utf8',
    timeout: 10_000,
  });
  const { supportedVersions } = JSON.parse(stdout) as { supportedVersions: string[] };
  const wanted = process.env.CONFORMANCE_SPEC;
  return specVersions.filter(
    (version) => supportedVersions.includes(version) && (wanted === undefined || wanted === version),
  );
};
