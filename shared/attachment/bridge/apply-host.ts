import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { Call } from '../../cni/plugin.ts';
import type { Interface } from '../../cni/types.ts';
import { type AddressState, readAddresses } from '../../kernel/address.ts';
import { runBridgeBatch } from '../../kernel/bridge-batch.ts';
import type { IpBatch, WaitingIp } from '../../kernel/ip-batch.ts';
import { type LinkState, readLink, waitForLink } from '../../kernel/link.ts';
import { explainingIfb } from '../../shaping/ifb.ts';
import { withLock } from '../../store/lock.ts';
import { prepareHostDevice } from '../pod-sysctls.ts';
import { type BridgeConfig, gatewayDevice, usesVlans } from './config.ts';
import { type Gateway, gatewayChanges } from './gateways.ts';
import {
  addGatewayLines,
  addPortLines,
  bridgeBatch,
  type Names,
  type Observed,
  vlanBatch,
} from './host-batch.ts';

/** What the result says of the host's side. */
export interface HostSide {
  bridgeMac: string;
  bridgeMtu: number;
  portMtu: number;
  vlanDevice: Interface | undefined;
}

/** How long a new bridge port may take to leave the disabled state; the kernel's link watch needs about 1 ms. */
const portTimeoutMs = 5_000;

/** The state of a bridge port without carrier (linux/if_bridge.h, BR_STATE_DISABLED). */
const BR_STATE_DISABLED = 0;

/**
 * Brings bridge, gateway addresses and the pod's veth into being with one `ip -batch`, and one
 * `bridge -batch` where VLANs are asked for. When the bridge itself must change, that happens under a
 * lock: of several first pods, one makes it.
 */
export const applyHostSide = async (
  ip: WaitingIp,
  wanted: WantedHostSide,
  checkpoint: Call['checkpoint'],
): Promise<HostSide> => {
  const { config, names } = wanted;
  const plan = planHostSide(wanted);
  if (!plan.changesBridge) return carryOut(ip, config, names, plan);
  return withLock(
    `/run/podwire/locks/bridge-${config.bridge}`,
    () => carryOut(ip, config, names, planHostSide(wanted)),
    { checkpoint },
  );
};

/** What an attachment needs on the host. */
export interface WantedHostSide {
  config: BridgeConfig;
  names: Names;
  gateways: Gateway[];
  /** Adds what else is to be made by the same `ip`, when the port is there. */
  addLines: (batch: IpBatch) => void;
}

/**
 * Waits until the port takes part in the bridge, so that the pod is reachable when ADD returns. A
 * bridge that runs the spanning tree protocol then listens and learns for 30 s, which is not waited for.
 * Throws CniError 11.
 */
export const waitForPort = (port: string): void => {
  const isEnabled = (link: LinkState | undefined): boolean =>
    link?.port !== undefined && link.port.state !== BR_STATE_DISABLED;
  if (waitForLink(port, isEnabled, portTimeoutMs)) return;
  throw new CniError(ErrorCode.tryAgainLater, `the bridge port "${port}" stays disabled`, {
    details: `It was given ${portTimeoutMs / 1000} s. Is the bridge up?`,
  });
};

interface HostPlan {
  batch: IpBatch;
  observed: Observed;
  changesBridge: boolean;
  /** The gateway addresses are on a device of their own. */
  needsVlanDevice: boolean;
}

const planHostSide = ({ config, names, gateways, addLines }: WantedHostSide): HostPlan => {
  const device = gatewayDevice(config);
  const bridge = readLink(config.bridge);
  const vlanDevice = config.vlan === 0 ? undefined : readLink(device);
  const observed: Observed = { bridge, vlanDevice };
  const needsVlanDevice = config.vlan !== 0 && gateways.length > 0;
  const batch = bridgeBatch(config, observed, names, needsVlanDevice);
  const carrier = config.vlan === 0 ? bridge : vlanDevice;
  const present: AddressState[] =
    carrier === undefined || gateways.length === 0 ? [] : readAddresses(carrier.index);
  addGatewayLines(batch, device, carrier, gatewayChanges(device, gateways, present, config.forceAddress));
  const changesBridge = batch.size > 0;
  addPortLines(batch, config, names);
  addLines(batch);
  return { batch, observed, changesBridge, needsVlanDevice };
};

const carryOut = (ip: WaitingIp, config: BridgeConfig, names: Names, plan: HostPlan): HostSide => {
  try {
    explainingIfb(() =>
      ip.run(plan.batch, `could not attach the container to the bridge "${config.bridge}"`),
    );
    if (usesVlans(config)) applyVlans(config, names, plan);
  } catch (error) {
    throw usesVlans(config) ? explainVlanFailure(error) : error;
  }
  if (plan.observed.bridge === undefined) prepareHostDevice(config.bridge);
  return describe(config, names, plan.needsVlanDevice);
};

const applyVlans = (config: BridgeConfig, names: Names, { observed, needsVlanDevice }: HostPlan): void => {
  const batch = vlanBatch(config, names, needsVlanDevice && observed.vlanDevice === undefined);
  runBridgeBatch(batch, 'could not set the VLANs of the bridge port');
};

const describe = (config: BridgeConfig, names: Names, hasVlanDevice: boolean): HostSide => {
  const bridge = readLink(config.bridge);
  const port = readLink(names.hostInterface);
  const vlanDevice = hasVlanDevice ? readLink(gatewayDevice(config)) : undefined;
  if (bridge === undefined || port === undefined) {
    throw new CniError(
      ErrorCode.conflict,
      `the bridge "${config.bridge}" or its port was removed while this ADD ran`,
      {
        details: 'Something else changes the same bridge; try again.',
      },
    );
  }
  return {
    bridgeMac: bridge.mac,
    bridgeMtu: bridge.mtu,
    portMtu: port.mtu,
    vlanDevice: vlanDevice && { name: vlanDevice.name, mac: vlanDevice.mac, mtu: vlanDevice.mtu },
  };
};

/** The kernel answers a VLAN filter it was built without with a bare "Operation not supported". */
const explainVlanFailure = (error: unknown): unknown => {
  if (!(error instanceof CniError) || !/not supported/i.test(error.message)) return error;
  if (error.code === ErrorCode.unsupportedByKernel) return error;
  return new CniError(
    ErrorCode.unsupportedByKernel,
    'this kernel has no bridge VLAN filter, which "vlan" and "vlanTrunk" need',
    {
      details: 'It needs CONFIG_BRIDGE_VLAN_FILTERING. Remove both keys, or use another kernel.',
      cause: error,
    },
  );
};
