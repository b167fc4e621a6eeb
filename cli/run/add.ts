import { supportedVersions } from '../../shared/cni/about.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { parseResult } from '../../shared/cni/result-versions.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { openNetns } from '../../shared/kernel/netns.ts';
import { type AttachmentParameters, assertAttachment } from './attachment.ts';
import { findPlugin } from './invoke.ts';
import type { Network, PluginEntry } from './network.ts';
import { readResult } from './plugin-output.ts';
import { atPlugin, callPlugin, type Runtime } from './runtime.ts';
import { isAtLeast } from './spec-version.ts';

/**
 * Calls ADD of every plugin in order, each with the result of the one before, and remembers the last
 * result. All plugins are looked up first, so that a missing one is found before anything is changed.
 *
 * After a failure the plugins called so far get a DEL, as container runtimes do, unless `keep` is set
 * or the interface or the attachment was there before: undoing would take it from its owner.
 */
export const addNetwork = async (
  network: Network,
  attachment: AttachmentParameters,
  runtime: Runtime,
  { keep }: { keep: boolean },
): Promise<JsonObject> => {
  assertAttachment(attachment);
  for (const plugin of network.plugins) lookUp(network, plugin, runtime);
  const occupied = occupiedBefore(network, attachment, runtime);
  const called: PluginEntry[] = [];
  let result: JsonObject | undefined;
  try {
    for (const plugin of network.plugins) {
      called.push(plugin);
      const stdout = await callPlugin('ADD', network, plugin, attachment, { prevResult: result }, runtime);
      result = checkedResult(stdout, network, plugin);
    }
    const final = result ?? {};
    runtime.cache.write({ attachment, networkName: network.name, config: network.text, result: final });
    return final;
  } catch (error) {
    if (keep) runtime.note('what the failed ADD left is kept; `podwire run del` removes it');
    else if (occupied !== undefined) runtime.note(`not cleaned up, because ${occupied}`);
    else await cleanUp(network, called, attachment, result, runtime);
    throw error;
  }
};

const lookUp = (network: Network, plugin: PluginEntry, { settings }: Runtime): void => {
  try {
    findPlugin(plugin.type, settings.binDirs);
  } catch (error) {
    throw atPlugin(error, 'ADD', network, plugin);
  }
};

/** Why a clean-up would take something that this ADD did not make; undefined when it would not. */
const occupiedBefore = (
  network: Network,
  attachment: AttachmentParameters,
  { cache }: Runtime,
): string | undefined => {
  const { containerId, ifname, netns: path } = attachment;
  const netns = openNetns(path);
  try {
    if (netns.run(() => readLink(ifname)) !== undefined) return `${ifname} was in ${path} before`;
  } finally {
    netns.close();
  }
  if (cache.read(network.name, attachment) === undefined) return undefined;
  return `container ${containerId} was attached to "${network.name}" by ${ifname} before`;
};

const checkedResult = (stdout: string, network: Network, plugin: PluginEntry): JsonObject => {
  try {
    const result = readResult(plugin.type, stdout, network.cniVersion);
    const version = String(result.cniVersion);
    if (!supportedVersions.includes(version)) {
      throw new CniError(
        ErrorCode.incompatibleVersion,
        `plugin "${plugin.type}" answered in CNI version "${version}"`,
        { details: `This runtime knows ${supportedVersions.join(', ')}.` },
      );
    }
    parseResult(result, version);
    return result;
  } catch (error) {
    throw atPlugin(error, 'ADD', network, plugin);
  }
};

/** Goes on after an error, since the error of the ADD is the one to report. */
const cleanUp = async (
  network: Network,
  called: PluginEntry[],
  attachment: AttachmentParameters,
  last: JsonObject | undefined,
  runtime: Runtime,
): Promise<void> => {
  runtime.settings.interrupts.reset();
  const prevResult = isAtLeast(network.cniVersion, '0.4.0') ? last : undefined;
  for (const plugin of called.toReversed()) {
    try {
      await callPlugin('DEL', network, plugin, attachment, { prevResult }, runtime);
    } catch (error) {
      runtime.note(`cleaning up after the failed ADD: ${plugin.type}: ${(error as Error).message}`);
    }
  }
};
