import { existsSync } from 'node:fs';
import { callPlugin, expectDone, expectResult, type PluginCall, type PrintedResult } from './call-plugin.ts';
import type { Pod } from './pod.ts';
import type { TestHost } from './test-host.ts';

interface ChainedPlugin {
  type: string;
  capabilities?: Record<string, boolean>;
}

/** One attachment of a pod to a network list. */
export interface ChainCall {
  conflist: { cniVersion: string; name: string; plugins: ChainedPlugin[] };
  /** Searched in this order for every plugin of the list, and CNI_PATH for what they delegate to. */
  binDirs: string[];
  containerId: string;
  netns: Pod | string;
  ifname?: string;
  /** Each plugin of the list gets what it declares under `capabilities`, as `runtimeConfig`. */
  runtimeConfig?: object;
}

/** ADD of each plugin in order, each with the one before's result; the last result. Throws as a plugin fails. */
export const addChain = async (host: TestHost, chain: ChainCall): Promise<PrintedResult> => {
  let result: PrintedResult | undefined;
  for (const plugin of chain.conflist.plugins) {
    result = expectResult(await callPlugin(host, pluginCall(chain, plugin, 'ADD', result)));
  }
  if (result === undefined) throw new Error('the network list is empty');
  return result;
};

/** CHECK of each plugin in order, with the last result of ADD. */
export const checkChain = async (host: TestHost, chain: ChainCall, result: PrintedResult): Promise<void> => {
  for (const plugin of chain.conflist.plugins) {
    expectDone(await callPlugin(host, pluginCall(chain, plugin, 'CHECK', result)));
  }
};

/** DEL of each plugin in reverse order; with no result, as a runtime that lost its cache. */
export const delChain = async (host: TestHost, chain: ChainCall, result?: PrintedResult): Promise<void> => {
  for (const plugin of chain.conflist.plugins.toReversed()) {
    expectDone(await callPlugin(host, pluginCall(chain, plugin, 'DEL', result)));
  }
};

const pluginCall = (
  chain: ChainCall,
  plugin: ChainedPlugin,
  command: 'ADD' | 'CHECK' | 'DEL',
  prevResult: PrintedResult | undefined,
): PluginCall => {
  const { conflist, binDirs, containerId, netns, ifname = 'eth0', runtimeConfig } = chain;
  const binDir = binDirs.find((directory) => existsSync(`${directory}/${plugin.type}`));
  if (binDir === undefined) throw new Error(`${plugin.type} is in none of ${binDirs.join(', ')}`);
  const config = {
    cniVersion: conflist.cniVersion,
    name: conflist.name,
    runtimeConfig: capabilityArgs(plugin, runtimeConfig),
    prevResult,
    ...plugin,
  };
  return { binDir, plugin: plugin.type, command, containerId, netns, ifname, path: binDirs, config };
};

const capabilityArgs = (
  { capabilities = {} }: ChainedPlugin,
  given: object | undefined,
): object | undefined => {
  const entries = Object.entries(given ?? {}).filter(([name]) => capabilities[name] === true);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
};
