import { CniError, ErrorCode } from '../../cni/errors.ts';
import { Fields, show } from '../../cni/fields.ts';
import type { Call } from '../../cni/plugin.ts';
import { parseMac } from '../../kernel/mac.ts';
import { type NetworkKeys, parseNetworkKeys } from '../network-keys.ts';

/** The bridge plugin's configuration with the defaults filled in; the README explains each key. */
export interface BridgeConfig extends NetworkKeys {
  bridge: string;
  isGateway: boolean;
  isDefaultGateway: boolean;
  forceAddress: boolean;
  hairpinMode: boolean;
  promiscMode: boolean;
  /** PVID of the port; 0: none. */
  vlan: number;
  /** Tagged VLANs of the port. */
  trunk: VlanRange[];
  preserveDefaultVlan: boolean;
  macSpoofCheck: boolean;
  enableDad: boolean;
  disableContainerInterface: boolean;
  portIsolation: boolean;
  /** Asked for by CNI_ARGS, `args.cni` or `runtimeConfig`; normalised. */
  mac: string | undefined;
}

export interface VlanRange {
  first: number;
  last: number;
}

/** The last VLAN id there is (IEEE 802.1Q keeps 4095). */
export const maxVlan = 4094;

/** What a plugin may have for keys that are not given. */
export type BridgeDefaults = Pick<BridgeConfig, 'bridge' | 'isGateway' | 'isDefaultGateway'>;

/** As with the reference. */
const usualDefaults: BridgeDefaults = { bridge: 'cni0', isGateway: false, isDefaultGateway: false };

/** Throws CniError 7 (or 2) that names the key at fault and its value. */
export const parseBridgeConfig = (call: Call, defaults = usualDefaults): BridgeConfig => {
  const fields = new Fields(call.config.json);
  const isGateway = fields.boolean('isGateway') ?? defaults.isGateway;
  const isDefaultGateway = fields.boolean('isDefaultGateway') ?? (isGateway && defaults.isDefaultGateway);
  const config: BridgeConfig = {
    ...parseNetworkKeys(fields, call.config),
    bridge: parseBridgeName(fields, defaults.bridge),
    isGateway: isGateway || isDefaultGateway,
    isDefaultGateway,
    forceAddress: fields.boolean('forceAddress') ?? false,
    hairpinMode: fields.boolean('hairpinMode') ?? false,
    promiscMode: fields.boolean('promiscMode') ?? false,
    vlan: fields.integer('vlan', 0, maxVlan) ?? 0,
    trunk: fields.fieldsList('vlanTrunk').flatMap(parseTrunkItem),
    preserveDefaultVlan: fields.boolean('preserveDefaultVlan') ?? false,
    macSpoofCheck: fields.boolean('macspoofchk') ?? false,
    enableDad: fields.boolean('enabledad') ?? false,
    disableContainerInterface: fields.boolean('disableContainerInterface') ?? false,
    portIsolation: fields.boolean('portIsolation') ?? false,
    mac: requestedMac(call),
  };
  checkCombinations(fields, config);
  return config;
};

/** True when the port needs the bridge's VLAN filter. */
export const usesVlans = ({ vlan, trunk }: BridgeConfig): boolean => vlan !== 0 || trunk.length > 0;

/** The device that carries the gateway address: the bridge, or its interface in the port's VLAN. */
export const gatewayDevice = ({ bridge, vlan }: BridgeConfig): string =>
  vlan === 0 ? bridge : `${bridge}.${vlan}`;

const parseBridgeName = (fields: Fields, usual: string): string => {
  const name = fields.string('bridge') || usual;
  // The kernel takes "%d" for a request to number the name.
  if (name.length > 15 || name === '.' || name === '..' || /[^\x21-\x7e]|[/:%#"'\\]/.test(name)) {
    throw fields.invalid('bridge', 'must be an interface name of at most 15 characters');
  }
  return name;
};

const parseTrunkItem = (item: Fields): VlanRange[] => {
  const ranges: VlanRange[] = [];
  const first = item.integer('minID', 1, maxVlan);
  const last = item.integer('maxID', 1, maxVlan);
  if (first !== undefined && last === undefined) throw item.invalid('maxID', 'must be given with "minID"');
  if (first === undefined && last !== undefined) throw item.invalid('minID', 'must be given with "maxID"');
  if (first !== undefined && last !== undefined) {
    if (first > last) throw item.invalid('minID', `must not be greater than "maxID" (${last})`);
    ranges.push({ first, last });
  }
  const id = item.integer('id', 1, maxVlan);
  if (id !== undefined) ranges.push({ first: id, last: id });
  if (ranges.length === 0) throw item.invalid('id', 'must be given, or "minID" and "maxID"');
  return ranges;
};

/** The later source wins, as in the reference: CNI_ARGS, then `args.cni`, then `runtimeConfig`. */
const requestedMac = ({ env, config }: Call): string | undefined => {
  const sources: [string, string | undefined][] = [
    ['runtimeConfig.mac', new Fields(config.runtimeConfig, 'runtimeConfig').string('mac')],
    ['args.cni.mac', new Fields(config.cniArgs, 'args.cni').string('mac')],
    ['MAC in CNI_ARGS', env.args.get('MAC')],
  ];
  const chosen = sources.find(([, text]) => text !== undefined && text !== '');
  if (chosen === undefined) return undefined;
  const [source, text = ''] = chosen;
  const mac = parseMac(text);
  if (mac !== undefined && isUnicast(mac)) return mac;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `invalid configuration: ${source} is no MAC address of an interface: ${show(text)}`,
    {
      details: 'Write it as 02:42:ac:11:00:02.',
    },
  );
};

/** The lowest bit of the first byte marks a group (IEEE 802); all zeros is nobody's. */
const isUnicast = (mac: string): boolean => /^.[02468ace]/.test(mac) && /[^0:]/.test(mac);

const checkCombinations = (fields: Fields, config: BridgeConfig): void => {
  if (config.hairpinMode && config.promiscMode) {
    throw fields.invalid(
      'hairpinMode',
      'excludes "promiscMode"',
      'Set one of them only: both make a pod reach itself.',
    );
  }
  if (config.disableContainerInterface && config.ipamType !== '') {
    throw fields.invalid(
      'disableContainerInterface',
      'excludes "ipam"',
      'A link that stays down can have no addresses.',
    );
  }
  if (config.vlan !== 0 && config.isGateway && gatewayDevice(config).length > 15) {
    throw fields.invalid(
      'bridge',
      `is too long for its VLAN device "${gatewayDevice(config)}"`,
      'Use a shorter bridge name.',
    );
  }
};
