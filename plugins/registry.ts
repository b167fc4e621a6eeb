import type { Plugin } from '../shared/cni/plugin.ts';

/** Every plugin of this executable by the type name in a configuration; loaded when called for. */
const loaders: Record<string, () => Promise<{ plugin: Plugin }>> = {
  bridge: () => import('./bridge/bridge.ts'),
  veth: () => import('./veth/veth.ts'),
  ptp: () => import('./veth/veth.ts'),
  loopback: () => import('./loopback/loopback.ts'),
  'host-local': () => import('../ipam/host-local/host-local.ts'),
  static: () => import('../ipam/static/static.ts'),
};

/** The plugin of that type name, or undefined when this executable has none. */
export const loadPlugin = async (type: string): Promise<Plugin | undefined> =>
  Object.hasOwn(loaders, type) ? (await loaders[type]?.())?.plugin : undefined;
