import { isObject } from '../cni/fields.ts';
import { readdirSync, readFileSync, unlinkSync } from '../kernel/files.ts';
import { failedWith, ioFailure } from '../store/io-failure.ts';
import { unfinished, writeWhole } from '../store/whole-file.ts';
import type { HostEnd, PortClaim } from './claims.ts';

/** The ports that have claims, or for which some were being written, as `tcp-8080`. */
export const claimedPorts = (root: string): string[] => {
  try {
    return [...new Set(readdirSync(directoryOf(root)).map((name) => name.replace(/^\./, '')))];
  } catch {
    return [];
  }
};

/** The claims on a port. A file that is missing, or that nobody understands, claims nothing. */
export const readClaims = (root: string, port: string): PortClaim[] => {
  try {
    const claims: unknown = JSON.parse(readFileSync(`${directoryOf(root)}/${port}`));
    return Array.isArray(claims) ? claims.filter(isClaim) : [];
  } catch {
    return [];
  }
};

/**
 * Replaces the claims on a port, by a temporary file, as whoever is killed half-way must not lose what
 * others claimed. Throws CniError 5.
 */
export const writeClaims = (root: string, port: string, claims: readonly PortClaim[]): void => {
  const file = `${directoryOf(root)}/${port}`;
  if (claims.length === 0) {
    removeFile(file);
    return;
  }
  try {
    writeWhole(file, JSON.stringify(claims));
  } catch (error) {
    throw ioFailure(`write ${file}`, error);
  }
};

/** Removes what a writer left that was killed half-way; for who has the lock. Throws CniError 5. */
export const removeUnfinished = (root: string, port: string): void =>
  removeFile(unfinished(`${directoryOf(root)}/${port}`));

/** Whether it is one, as claims and records have them. */
export const isHostEnd = (value: unknown): value is HostEnd =>
  isObject(value) && typeof value.name === 'string' && typeof value.index === 'number';

const directoryOf = (root: string): string => `${root}/ports`;

const isClaim = (value: unknown): value is PortClaim =>
  isObject(value) &&
  ['network', 'containerId', 'ifname', 'slot', 'netns'].every((key) => typeof value[key] === 'string') &&
  typeof value.inode === 'number' &&
  typeof value.waiting === 'boolean' &&
  Array.isArray(value.links) &&
  value.links.every(isHostEnd);

const removeFile = (file: string): void => {
  try {
    unlinkSync(file);
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw ioFailure(`remove ${file}`, error);
  }
};
