import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields, show } from '../../shared/cni/fields.ts';
import type { Attachment } from '../../shared/cni/plugin.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import type { Network, PluginEntry } from './network.ts';

export interface Injected {
  /** The result of the plugin before (ADD) or of the whole list (CHECK, DEL). */
  prevResult?: JsonObject | undefined;
  /** What the runtime offers; a plugin gets what it declares in `capabilities`. */
  capabilityArgs?: JsonObject | undefined;
  /** For GC. */
  validAttachments?: Attachment[] | undefined;
}

/**
 * What a plugin gets on stdin (SPEC.md, "Deriving request configuration"): its configuration with the
 * network's name and version, without `capabilities`.
 */
export const pluginConfig = (network: Network, plugin: PluginEntry, injected: Injected): JsonObject => {
  const own = Object.entries(plugin.json).filter(([key]) => key.toLowerCase() !== 'capabilities');
  const runtimeConfig = intersect(declaredCapabilities(plugin), injected.capabilityArgs ?? {});
  const config: JsonObject = {
    ...Object.fromEntries(own),
    name: network.name,
    cniVersion: network.cniVersion,
  };
  if (injected.prevResult !== undefined) config.prevResult = injected.prevResult;
  if (Object.keys(runtimeConfig).length > 0) config.runtimeConfig = runtimeConfig;
  if (injected.validAttachments !== undefined) {
    const attachments = injected.validAttachments.map((attachment) => ({ ...attachment }));
    config['cni.dev/valid-attachments'] = attachments;
    // The name that an early text of the specification had (cni#1101).
    config['cni.dev/attachments'] = attachments;
  }
  return config;
};

/** The capabilities a plugin's configuration declares and enables. Throws CniError 7. */
export const declaredCapabilities = (plugin: PluginEntry): string[] => {
  const declared = Object.entries(new Fields(plugin.json).object('capabilities') ?? {});
  const wrong = declared.find(([, enabled]) => typeof enabled !== 'boolean');
  if (wrong !== undefined) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration of plugin "${plugin.type}": "capabilities.${wrong[0]}" must be true or false, got ${show(wrong[1])}`,
    );
  }
  return declared.filter(([, enabled]) => enabled === true).map(([name]) => name);
};

/** What is offered but declared by no plugin of the network, so that nobody would notice it missing. */
export const undeclared = (network: Network, capabilityArgs: JsonObject): string[] => {
  const declared = new Set(network.plugins.flatMap(declaredCapabilities));
  return Object.keys(capabilityArgs).filter((capability) => !declared.has(capability));
};

const intersect = (declared: string[], offered: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(offered).filter(([capability]) => declared.includes(capability)));
