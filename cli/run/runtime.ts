import { CniError, ErrorCode, toCniError } from '../../shared/cni/errors.ts';
import type { Command } from '../../shared/cni/plugin.ts';
import { formatResult, parseResult } from '../../shared/cni/result-versions.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { PluginFailure } from '../failure.ts';
import type { AttachmentParameters } from './attachment.ts';
import type { ResultCache } from './cache.ts';
import { type InvokeSettings, invoke } from './invoke.ts';
import type { Network, PluginEntry } from './network.ts';
import { type Injected, pluginConfig } from './plugin-config.ts';
import { compareVersions } from './spec-version.ts';

/** What the verbs of `podwire run` share. */
export interface Runtime {
  settings: InvokeSettings;
  cache: ResultCache;
  /** Tells the user something that is no error. */
  note: (text: string) => void;
}

/**
 * Calls one plugin of a network and returns its stdout; a failure says which plugin of the list it was.
 * `attachment` is absent for GC and STATUS, which are about the network as a whole and get no
 * `runtimeConfig` either, as in libcni.
 */
export const callPlugin = async (
  command: Command,
  network: Network,
  plugin: PluginEntry,
  attachment: AttachmentParameters | undefined,
  injected: Omit<Injected, 'capabilityArgs'>,
  { settings }: Runtime,
): Promise<string> => {
  try {
    const config = pluginConfig(network, plugin, { ...injected, capabilityArgs: attachment?.capabilityArgs });
    return await invoke({ command, type: plugin.type, attachment, config }, settings);
  } catch (error) {
    throw atPlugin(error, command, network, plugin);
  }
};

/** Adds to an error which plugin of the network it came from. */
export const atPlugin = (
  error: unknown,
  command: Command,
  network: Network,
  plugin: PluginEntry,
): PluginFailure => {
  const place = `plugin ${network.plugins.indexOf(plugin) + 1} of ${network.plugins.length}`;
  return new PluginFailure(
    toCniError(error),
    `${plugin.type} (${place} of network "${network.name}", ${command})`,
    network.cniVersion,
  );
};

/**
 * The result that ADD left, in the version of the configuration as it is now; undefined when there is
 * none. Throws CniError 1, 6 or 7 when it cannot be read or converted.
 */
export const cachedResult = (
  network: Network,
  attachment: AttachmentParameters,
  cache: ResultCache,
): JsonObject | undefined => {
  const json = cache.readResult(network.name, attachment);
  if (json === undefined) return undefined;
  const version = typeof json.cniVersion === 'string' ? json.cniVersion : '0.1.0';
  if (compareVersions(version, network.cniVersion) === 0) return json;
  try {
    return formatResult(parseResult(json, version), network.cniVersion || '0.1.0');
  } catch (cause) {
    throw new CniError(
      ErrorCode.incompatibleVersion,
      `the cached result cannot be converted from version "${version}" to "${network.cniVersion}"`,
      { details: (cause as Error).message, cause },
    );
  }
};
