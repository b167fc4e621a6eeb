import { CniError, ErrorCode } from '../../cni/errors.ts';
import { BridgeBatch } from '../../kernel/bridge-batch.ts';
import { IpBatch } from '../../kernel/ip-batch.ts';
import type { LinkState } from '../../kernel/link.ts';
import { type BridgeConfig, gatewayDevice, maxVlan, usesVlans, type VlanRange } from './config.ts';
import type { AddressChange } from './gateways.ts';

/** The host's side as it is now: what the plan compares with. */
export interface Observed {
  bridge: LinkState | undefined;
  /** The device with the gateway address when that is not the bridge itself. */
  vlanDevice: LinkState | undefined;
}

/** Names and MACs, chosen before anything is made, so that nothing has to be read back. */
export interface Names {
  bridgeMac: string;
  hostInterface: string;
  hostMac: string;
  /** The bridge's port behind the VLAN device. */
  vlanPort: string;
  ifname: string;
  podMac: string;
  /** What `ip` opens to find the pod's netns. */
  netnsReference: string;
  /** Marks the host end as ours: `podwire:network/container/ifname`. */
  alias: string;
}

/**
 * The lines that bring the bridge itself into the configured state; none when it is in it.
 * `needsVlanDevice`: there are gateway addresses, and they are not the bridge's own.
 */
export const bridgeBatch = (
  config: BridgeConfig,
  { bridge, vlanDevice }: Observed,
  names: Names,
  needsVlanDevice: boolean,
): IpBatch => {
  const batch = new IpBatch();
  const vlanFilter = usesVlans(config);
  if (bridge === undefined) {
    batch.add(
      ...['link', 'add', 'name', config.bridge],
      // An address of its own, or the bridge would take its lowest port's and change with the ports.
      ...['address', names.bridgeMac],
      ...mtuWords(config),
      ...['up', 'type', 'bridge'],
      ...(vlanFilter ? ['vlan_filtering', 1] : []),
    );
  } else {
    if (bridge.kind !== 'bridge') throw notABridge(config.bridge, bridge.kind);
    if (!bridge.up) batch.add('link', 'set', 'dev', config.bridge, 'up');
    if (vlanFilter && !bridge.bridge?.vlanFiltering) {
      batch.add('link', 'set', 'dev', config.bridge, 'type', 'bridge', 'vlan_filtering', 1);
    }
  }
  if (config.promiscMode && !bridge?.promiscuity)
    batch.add('link', 'set', 'dev', config.bridge, 'promisc', 'on');
  if (needsVlanDevice && vlanDevice === undefined) {
    const device = gatewayDevice(config);
    const mtu = bridge === undefined ? mtuWords(config) : ['mtu', bridge.mtu];
    batch.add(
      ...['link', 'add', 'name', names.vlanPort, ...mtu, 'master', config.bridge, 'up'],
      ...['type', 'veth', 'peer', 'name', device, ...mtu],
    );
    batch.add('link', 'set', 'dev', device, 'up');
  }
  return batch;
};

/**
 * The lines that give the gateway device its addresses; IPv6 ones are usable at once (`nodad`). A bridge
 * that others made (`existing`) is told to keep its MAC: otherwise it takes its lowest port's, and what
 * the pods know of their gateway is wrong each time a port comes or goes.
 */
export const addGatewayLines = (
  batch: IpBatch,
  device: string,
  existing: LinkState | undefined,
  { add, remove }: AddressChange,
): void => {
  if (add.length > 0 && existing !== undefined)
    batch.add('link', 'set', 'dev', device, 'address', existing.mac);
  for (const cidr of remove) batch.add('address', 'del', cidr, 'dev', device);
  for (const cidr of add) {
    batch.add(
      'address',
      'add',
      cidr,
      'dev',
      device,
      ...(cidr.includes(':') ? ['nodad'] : ['broadcast', '+']),
    );
  }
};

/**
 * The lines that make the pod's veth: one creates the pair, puts the peer into the pod's netns, makes
 * the host end a port of the bridge and brings it up.
 */
export const addPortLines = (batch: IpBatch, config: BridgeConfig, names: Names): void => {
  const { hostInterface, hostMac, ifname, podMac, netnsReference, alias } = names;
  batch.add(
    ...['link', 'add', 'name', hostInterface, 'address', hostMac, ...mtuWords(config)],
    ...['master', config.bridge, 'up', 'type', 'veth'],
    ...['peer', 'name', ifname, 'address', podMac, ...mtuWords(config), 'netns', netnsReference],
  );
  batch.add('link', 'set', 'dev', hostInterface, 'alias', alias);
  if (config.hairpinMode || config.portIsolation) {
    batch.add(
      ...['link', 'set', 'dev', hostInterface, 'type', 'bridge_slave'],
      ...(config.hairpinMode ? ['hairpin', 'on'] : []),
      ...(config.portIsolation ? ['isolated', 'on'] : []),
    );
  }
};

/**
 * What puts the port, and the one behind a new VLAN device, into their VLANs. A new port is in the bridge's default VLAN, usually but not always 1; the kernel
 * skips what a range to delete has not. The port's own VLAN comes last, as it may be in the trunk, too;
 * without one it is 1, as with the reference.
 */
export const vlanBatch = (config: BridgeConfig, names: Names, newVlanDevice: boolean): BridgeBatch => {
  const batch = new BridgeBatch();
  if (newVlanDevice) addVlanLines(batch, config, names.vlanPort, []);
  addVlanLines(batch, config, names.hostInterface, config.trunk);
  return batch;
};

const addVlanLines = (
  batch: BridgeBatch,
  { vlan, preserveDefaultVlan }: BridgeConfig,
  port: string,
  trunk: VlanRange[],
): void => {
  if (!preserveDefaultVlan) batch.add('vlan', 'del', 'dev', port, 'vid', `1-${maxVlan}`);
  for (const { first, last } of trunk)
    batch.add('vlan', 'add', 'dev', port, 'vid', first === last ? first : `${first}-${last}`);
  batch.add('vlan', 'add', 'dev', port, 'vid', vlan === 0 ? 1 : vlan, 'pvid', 'untagged');
};

const mtuWords = ({ mtu }: BridgeConfig): (string | number)[] => (mtu === undefined ? [] : ['mtu', mtu]);

const notABridge = (name: string, kind: string | undefined): CniError =>
  new CniError(
    ErrorCode.conflict,
    `"bridge" names "${name}", which is ${kind ? `a ${kind} device` : 'no bridge'}`,
    {
      details: 'Choose another name, or remove that device.',
    },
  );
