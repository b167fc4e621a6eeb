import { type BridgeConfig, parseBridgeConfig } from '../../shared/attachment/bridge/config.ts';
import { parseVethConfig, type VethConfig } from '../../shared/attachment/veth/config.ts';
import { Fields, isObject } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { JsonObject, JsonValue } from '../../shared/cni/types.ts';
import type { FilterBackend } from '../../shared/filter/backend.ts';
import { parseOverlaySettings } from '../../shared/overlay/settings.ts';
import type { OverlaySettings } from '../../shared/overlay/types.ts';

/** The vxlan plugin's configuration with the defaults filled in. */
export interface VxlanConfig {
  overlay: OverlaySettings;
  peers: Peers;
  /** This node's name among the peers; undefined: found by the host's addresses, or the host's name. */
  node: string | undefined;
  /** What leaves the cluster gets the node's address, by this packet filter or the one that is found; undefined: it does not. */
  nat: { backend: FilterBackend | undefined } | undefined;
  attachment: { by: 'veth'; config: VethConfig } | { by: 'bridge'; config: BridgeConfig };
}

/** Who knows the other nodes: the agent on this one, a file, or the configuration itself. */
export type Peers = { from: 'agent' } | { from: 'file'; path: string } | { from: 'config'; nodes: JsonValue };

/** Throws CniError 7 (or 2) that names the key at fault and its value. */
export const parseVxlanConfig = (call: Call): VxlanConfig => {
  const fields = new Fields(call.config.json);
  const overlay = parseOverlaySettings(withoutZeroMtu(call.config.json));
  const peers = parsePeers(fields);
  const { config, ...attachment } = parseAttachment(call, fields, overlay);
  if (config.ipMasq && peers.from === 'agent') {
    throw fields.invalid(
      'ipMasq',
      'excludes "peers": "agent"',
      'The agent does this for the whole node: start it with --nat-outgoing, which is its default.',
    );
  }
  // One for the whole node, which knows the prefixes of all others, in place of one for each pod.
  const ownConfig = { ...config, ipMasq: false };
  return {
    overlay,
    peers,
    node: fields.string('node') || undefined,
    nat: config.ipMasq ? { backend: config.ipMasqBackend } : undefined,
    attachment: { ...attachment, config: ownConfig } as VxlanConfig['attachment'],
  };
};

/** 0 is no MTU, as with other plugins. */
const withoutZeroMtu = (json: JsonObject): Fields =>
  new Fields(new Fields(json).raw('mtu') === 0 ? { ...json, mtu: null } : json);

const parseAttachment = (call: Call, fields: Fields, { vni }: OverlaySettings): VxlanConfig['attachment'] => {
  const by = fields.string('attach') || 'veth';
  if (by === 'bridge') {
    const config = parseBridgeConfig(call, {
      bridge: `pwbr${vni}`,
      isGateway: true,
      isDefaultGateway: true,
    });
    if (config.ipamType === '') throw ipamMissing(fields);
    return { by, config };
  }
  if (by !== 'veth') throw fields.invalid('attach', 'must be "veth" or "bridge"');
  if (fields.has('bridge')) {
    throw fields.invalid('bridge', 'needs "attach": "bridge"', 'Set that, or take "bridge" away.');
  }
  if (fields.fields('ipam').string('type') === undefined) throw ipamMissing(fields);
  const isDefaultGateway = fields.boolean('isDefaultGateway') ?? true;
  return { by, config: { ...parseVethConfig(call), isDefaultGateway } };
};

const parsePeers = (fields: Fields): Peers => {
  const nodes = fields.raw('peers');
  if (nodes === undefined || nodes === '' || nodes === 'agent') return { from: 'agent' };
  if (typeof nodes === 'string') {
    if (nodes.startsWith('/')) return { from: 'file', path: nodes };
    throw fields.invalid('peers', 'must be "agent", the absolute path of a file, or a list of nodes');
  }
  if (Array.isArray(nodes) || isObject(nodes)) return { from: 'config', nodes };
  throw fields.invalid('peers', 'must be "agent", the absolute path of a file, or a list of nodes');
};

const ipamMissing = (fields: Fields): Error =>
  fields
    .fields('ipam')
    .invalid(
      'type',
      'is missing',
      'Pods of an overlay need addresses: {"type": "host-local"} gives them this node\'s.',
    );
