import { newestVersion, supportedVersions } from './about.ts';
import { CniError, ErrorCode } from './errors.ts';
import { show } from './fields.ts';
import type { Command } from './plugin.ts';

/** What a configuration without `cniVersion` speaks (SPEC.md before 0.2.0 had no such key). */
const implicitVersion = '0.1.0';

/** The first version of the specification that knows a verb. */
const firstVersionOf: Partial<Record<Command, string>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };

/** True when `version` is `wanted` or newer; both must be supported versions. */
export const isAtLeast = (version: string, wanted: string): boolean =>
  supportedVersions.indexOf(version) >= supportedVersions.indexOf(wanted);

/**
 * The version to speak for a configuration's `cniVersion`.
 * Throws CniError 1 when it is none of ours, or too old for the verb or the plugin.
 */
export const negotiateVersion = (given: string, command: Command, minVersion: string): string => {
  const version = given === '' ? implicitVersion : given;
  if (!supportedVersions.includes(version)) {
    throw new CniError(
      ErrorCode.incompatibleVersion,
      `incompatible CNI versions: cniVersion ${show(version)} is not supported`,
      {
        details: `Supported versions: ${supportedVersions.join(', ')}. Set "cniVersion" to one of them.`,
      },
    );
  }
  if (!isAtLeast(version, minVersion)) {
    throw new CniError(ErrorCode.incompatibleVersion, `cniVersion "${version}" is too old for this plugin`, {
      details: `Set "cniVersion" to ${minVersion} or newer.`,
    });
  }
  const first = firstVersionOf[command] ?? minVersion;
  if (!isAtLeast(version, first)) {
    throw new CniError(ErrorCode.incompatibleVersion, `cniVersion "${version}" does not know ${command}`, {
      details: `${command} came with CNI ${first}; set "cniVersion" to ${first} or newer (newest: ${newestVersion}).`,
    });
  }
  return version;
};
