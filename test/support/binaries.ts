import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** The plugins under test: `dist/bin`, or what PODWIRE_BIN names. */
export const podwireBin = resolve(process.env.PODWIRE_BIN ?? resolve(import.meta.dirname, '../../dist/bin'));

/** The reference plugins (Debian: containernetworking-plugins), or what CNI_REFERENCE_BIN names. */
export const referenceBin = resolve(process.env.CNI_REFERENCE_BIN ?? '/usr/lib/cni');

/** Throws with what to do when a plugin directory lacks one of these plugins. */
export const expectPlugins = (binDir: string, ...plugins: string[]): void => {
  const missing = plugins.filter((plugin) => !existsSync(`${binDir}/${plugin}`));
  if (missing.length === 0) return;
  const remedy =
    binDir === referenceBin ? 'apt-get install containernetworking-plugins' : 'run scripts/build';
  throw new Error(`${binDir} has no ${missing.join(', ')}: ${remedy}`);
};
