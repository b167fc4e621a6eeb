import { newestVersion } from '../../shared/cni/about.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields, isObject, show } from '../../shared/cni/fields.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { chooseVersion } from './spec-version.ts';

/** One element of `plugins`, as it stands in the configuration. */
export interface PluginEntry {
  type: string;
  json: JsonObject;
}

/** A network configuration as the runtime sees it (SPEC.md, section 1). */
export interface Network {
  name: string;
  /** The version chosen for all plugins; empty when the configuration names none. */
  cniVersion: string;
  disableCheck: boolean;
  disableGC: boolean;
  loadOnlyInlinedPlugins: boolean;
  plugins: PluginEntry[];
  /** The configuration list as text, for the result cache. */
  text: string;
}

/**
 * Reads a configuration list. Plugins of the network's folder are not in it yet, so `plugins` may be
 * empty when the list has no such key. `source` is named in errors: CniError 6 for what is not JSON,
 * 7 for what is no valid list.
 */
export const parseNetworkList = (text: string, source: string): Network => {
  const json = parseObject(text, source);
  const complain = (problem: string) => invalid(source, problem);
  if (typeof json.name !== 'string') throw complain(`"name" must be a string, got ${show(json.name)}`);
  const cniVersion = json.cniVersion ?? '';
  if (typeof cniVersion !== 'string') {
    throw complain(`"cniVersion" must be a string, got ${show(cniVersion)}`);
  }
  const loadOnlyInlinedPlugins = readFlag(json, 'loadOnlyInlinedPlugins', source);
  if (json.plugins === undefined && loadOnlyInlinedPlugins) {
    throw complain('"loadOnlyInlinedPlugins" is true, but there is no "plugins"');
  }
  if (json.plugins !== undefined && (!Array.isArray(json.plugins) || json.plugins.length === 0)) {
    throw complain(`"plugins" must be a list with at least one plugin, got ${show(json.plugins)}`);
  }
  return {
    name: json.name,
    cniVersion: chooseVersion(cniVersion, readVersions(json, source), newestVersion),
    disableCheck: readFlag(json, 'disableCheck', source),
    disableGC: readFlag(json, 'disableGC', source),
    loadOnlyInlinedPlugins,
    plugins: (json.plugins ?? []).map((plugin, index) => toEntry(plugin, `${source}, plugins[${index}]`)),
    text,
  };
};

/** Reads the configuration of one plugin from a network's folder. */
export const parsePlugin = (text: string, source: string): PluginEntry =>
  toEntry(parseObject(text, source), source);

/**
 * Reads a network configuration of the form before lists: one plugin that has the network's name.
 * The result is the list of one that libcni makes of it.
 */
export const parseSinglePlugin = (text: string, source: string): Network => {
  const { json } = parsePlugin(text, source);
  const fields = new Fields(json);
  const list = {
    cniVersion: fields.string('cniVersion') ?? '',
    name: fields.string('name') ?? '',
    plugins: [json],
  };
  return parseNetworkList(JSON.stringify(list), source);
};

/** Whether text is of the form before lists, told by `type` and the absence of `plugins`. */
export const isSinglePlugin = (text: string, source: string): boolean => {
  const json = parseObject(text, source);
  return json.type !== undefined && json.plugins === undefined;
};

/**
 * Appends the plugins of the network's folder. The text then has all of them, so that a DEL by the
 * cached configuration calls them too; libcni's cache loses those of the folder.
 */
export const withFolderPlugins = (network: Network, added: PluginEntry[]): Network => {
  if (added.length === 0) return network;
  const plugins = [...network.plugins, ...added];
  const list = {
    ...(JSON.parse(network.text) as JsonObject),
    loadOnlyInlinedPlugins: true,
    plugins: plugins.map(({ json }) => json),
  };
  return { ...network, plugins, text: JSON.stringify(list) };
};

/** Throws CniError 7 unless the name is as SPEC.md section 1 wants it: it becomes part of paths. */
export const assertNetworkName = (name: string, source: string): void => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw invalid(
      source,
      `"name" must begin with a letter or digit and go on with these, "_", "." and "-", got ${show(name)}`,
    );
  }
};

const toEntry = (value: unknown, source: string): PluginEntry => {
  if (!isObject(value))
    throw invalid(source, `a plugin's configuration must be an object, got ${show(value)}`);
  const type = new Fields(value).raw('type');
  if (typeof type !== 'string' || type === '') {
    throw invalid(source, `"type" must name a plugin, got ${show(type)}`);
  }
  return { type, json: value };
};

const readVersions = (json: JsonObject, source: string): string[] | undefined => {
  const versions = json.cniVersions;
  if (versions === undefined) return undefined;
  if (!Array.isArray(versions) || !versions.every((version) => typeof version === 'string')) {
    throw invalid(source, `"cniVersions" must be a list of strings, got ${show(versions)}`);
  }
  return versions;
};

/** libcni takes the strings "true" and "false", in any case, for the booleans. */
const readFlag = (json: JsonObject, key: string, source: string): boolean => {
  const value = json[key] ?? false;
  if (typeof value === 'boolean') return value;
  const word = typeof value === 'string' ? value.toLowerCase() : '';
  if (word === 'true' || word === 'false') return word === 'true';
  throw invalid(source, `"${key}" must be true or false, got ${show(value)}`);
};

const parseObject = (text: string, source: string): JsonObject => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CniError(
      ErrorCode.decodingFailure,
      `${source} is not valid JSON: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  if (!isObject(value)) throw invalid(source, `must be a JSON object, got ${show(value)}`);
  return value;
};

const invalid = (source: string, problem: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, `invalid network configuration: ${problem}`, {
    details: `Correct ${source}.`,
  });
