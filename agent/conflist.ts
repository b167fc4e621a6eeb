import { CniError, ErrorCode } from '../shared/cni/errors.ts';
import { isObject, show } from '../shared/cni/fields.ts';
import type { JsonObject, JsonValue } from '../shared/cni/types.ts';
import { parseCidr } from '../shared/kernel/address-math.ts';

/** What of this node stands in its network configuration. */
export interface ConflistNode {
  vni: number;
  port: number;
  mode: string;
  /** Only where it was configured: else the plugin takes what the agent found. */
  mtu: number | undefined;
  podCIDRs: readonly string[];
  /** Of cluster-ipam; undefined: host-local with the prefixes, or what a template has. */
  ipam?: JsonObject | undefined;
}

/**
 * The node's network configuration: pods attached by a veth pair, with addresses of the node's prefixes, and
 * portmap, bandwidth and firewall in the same process. With a template, its first `vxlan` plugin gets what
 * is this node's, and everything else stays as it is. Throws CniError 7 when a template has no such plugin.
 */
export const buildConflist = (node: ConflistNode, template: JsonObject | undefined): string =>
  `${JSON.stringify(template === undefined ? defaultConflist(node) : filledIn(template, node), null, 2)}\n`;

/** Reads a template: a JSON conflist. Throws CniError 6 or 7. */
export const parseTemplate = (text: string, file: string): JsonObject => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CniError(
      ErrorCode.decodingFailure,
      `--conflist-template ${file} is not valid JSON: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!isObject(value) || pluginsOf(value).every(({ type }) => type !== 'vxlan')) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `--conflist-template ${file} has no plugin of the type "vxlan", got ${show(value)}`,
      {
        details:
          'It is a CNI network configuration list: { "cniVersion", "name", "plugins": [ { "type": "vxlan", … }, … ] }.',
      },
    );
  }
  return value;
};

/** Whether a text is a conflist for this agent: one whose vxlan plugin takes its peers from an agent. */
export const isAgentsConflist = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text);
    return (
      isObject(value) && pluginsOf(value).some(({ type, peers }) => type === 'vxlan' && peers === 'agent')
    );
  } catch {
    return false;
  }
};

/**
 * Runtimes with libcni before 1.2, such as containerd 1.6, read only `cniVersion` and refuse a result of 1.1.0; the
 * others take the highest of `cniVersions` that they know, and with 1.1.0 ask for STATUS and GC.
 */
const defaultConflist = (node: ConflistNode): JsonObject => ({
  cniVersion: '1.0.0',
  cniVersions: ['1.0.0', '1.1.0'],
  name: 'podwire',
  plugins: [
    {
      type: 'vxlan',
      ...nodeKeys(node),
      attach: 'veth',
      capabilities: { portMappings: true, bandwidth: true },
      portmap: {},
      firewall: {},
      ipam: node.ipam ?? { type: 'host-local', ...ipamKeys(node) },
    },
  ],
});

const filledIn = (template: JsonObject, node: ConflistNode): JsonObject => {
  const plugins = pluginsOf(template);
  const index = plugins.findIndex(({ type }) => type === 'vxlan');
  return {
    ...template,
    plugins: plugins.map((plugin, at): JsonObject => {
      if (at !== index) return plugin;
      const ipam = isObject(plugin.ipam) ? plugin.ipam : { type: 'host-local' };
      const { routes, ...keys } = ipamKeys(node);
      const isHostLocal = ipam.type === 'host-local';
      return {
        ...plugin,
        ...nodeKeys(node),
        ipam: node.ipam ?? (isHostLocal ? { routes, ...ipam, ...keys } : ipam),
      };
    }),
  };
};

const nodeKeys = ({ vni, port, mode, mtu }: ConflistNode): JsonObject => ({
  vni,
  port,
  mode,
  ...(mtu === undefined ? {} : { mtu }),
  peers: 'agent',
});

/** One set of ranges for each family, so that a pod gets one address of each. */
const ipamKeys = ({ podCIDRs }: ConflistNode): { ranges: JsonValue; routes: JsonValue } => {
  const families = ([4, 6] as const).filter((family) => podCIDRs.some((cidr) => familyOf(cidr) === family));
  return {
    ranges: families.map((family) =>
      podCIDRs.filter((cidr) => familyOf(cidr) === family).map((subnet) => ({ subnet })),
    ),
    routes: families.map((family) => ({ dst: family === 4 ? '0.0.0.0/0' : '::/0' })),
  };
};

const familyOf = (cidr: string): 4 | 6 | undefined => parseCidr(cidr)?.family;

const pluginsOf = ({ plugins }: JsonObject): JsonObject[] =>
  Array.isArray(plugins) ? plugins.filter(isObject) : [];
