import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { type PluginName, pluginNames } from '../../shared/cni/plugin-names.ts';
import { valueOption } from '../option.ts';
import { type HostPaths, hostDefaults } from './host-paths.ts';

/** The flags that install, upgrade and uninstall have in common. */
export interface PathFlags {
  binDir?: string;
  cniConfDir?: string;
  hostRoot?: string;
  json?: boolean;
}

export interface InstallFlags extends PathFlags {
  plugins?: PluginName[];
  takeover?: boolean;
  force?: boolean;
  conflist?: string;
}

export const addPathFlags = (command: Command): Command =>
  command
    .addOption(
      valueOption('--bin-dir <dir>', `directory of the plugins (default ${hostDefaults.binDir})`, parsePath),
    )
    .addOption(
      valueOption(
        '--cni-conf-dir <dir>',
        `directory of network configurations (default ${hostDefaults.confDir})`,
        parsePath,
      ),
    )
    .addOption(
      valueOption('--host-root <dir>', "where the node's root is mounted, in a container: /host", parseRoot),
    )
    .option('--json', 'print a JSON object');

export const addInstallFlags = (command: Command): Command =>
  addPathFlags(command)
    .addOption(valueOption('--plugins <names>', 'only these, joined by commas (default all)', parsePlugins))
    .option('--takeover', 'put files of others under our names aside; uninstall puts them back')
    .option('--conflist <file>', 'also install this network configuration list')
    .option('--force', 'also in the place of a newer podwire');

/** `fallback` for the directory of the plugins, where one is known. */
export const hostPaths = ({ binDir, cniConfDir, hostRoot }: PathFlags, fallback?: string): HostPaths => ({
  root: hostRoot ?? '/',
  binDir: binDir ?? fallback ?? hostDefaults.binDir,
  confDir: cniConfDir ?? hostDefaults.confDir,
});

/** They stand in manifests and are joined to names. */
const parsePath = (text: string): string => {
  const path = text.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
  const names = path.split('/');
  if (!path.startsWith('/') || path === '/' || names.includes('..') || names.includes('.')) {
    throw new Error('It must be an absolute path without "..".');
  }
  return path;
};

const parseRoot = (text: string): string => {
  if (text === '/') return text;
  const root = parsePath(text);
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new Error('There is no such directory. Is the node mounted there?');
  }
  return root;
};

const parsePlugins = (text: string): PluginName[] => {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !isPluginName(name));
  if (unknown.length === 0) return names.filter(isPluginName);
  throw new Error(
    `There is no plugin ${unknown.map((name) => `"${name}"`).join(', ')}; known: ${pluginNames.join(', ')}.`,
  );
};

const isPluginName = (name: string): name is PluginName => (pluginNames as readonly string[]).includes(name);
