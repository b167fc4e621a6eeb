import { delegateVerb } from '../../cni/delegate.ts';
import type { Call } from '../../cni/plugin.ts';
import { emptyResult, type IpConfig, type Result } from '../../cni/types.ts';
import { checkFeatures } from '../../features/check.ts';
import { readAddresses } from '../../kernel/address.ts';
import { type LinkState, readLink } from '../../kernel/link.ts';
import { readAttachment } from '../../store/attachments.ts';
import { sameCidr } from '../address-compare.ts';
import {
  checkForwarding,
  checkHostEnd,
  checkPodInterface,
  compareMac,
  containerInterface,
  Findings,
  podAddresses,
} from '../check-pod.ts';
import { requireContainerNetns } from '../container-netns.ts';
import { checkFilters } from '../filters.ts';
import { ownerOf } from '../owner.ts';
import { type BridgeConfig, gatewayDevice } from './config.ts';
import { gatewaysOf } from './gateways.ts';

/**
 * CHECK: IPAM, then pod, port, bridge and packet filter against prevResult and the configuration, and what
 * the plugin has to look at `further`.
 */
export const checkBridge = async (
  call: Call,
  config: BridgeConfig,
  further: (findings: Findings) => void | Promise<void> = () => {},
): Promise<void> => {
  const netns = requireContainerNetns(call.env);
  const prevResult = call.config.prevResult ?? emptyResult();
  const container = containerInterface(call, prevResult, netns);
  if (config.ipamType !== '') await delegateVerb(call, 'CHECK', config.ipamType);

  const findings = new Findings();
  const pod = checkPodInterface(prevResult, container, netns, findings, config.disableContainerInterface);
  const bridge = checkBridgeDevice(config, prevResult, findings);
  const port = checkHostEnd(prevResult, pod, findings);
  checkPort(config, port, bridge, findings);
  const ips = podAddresses(prevResult, container);
  if (config.isGateway) {
    checkGateways(config, ips, findings);
    checkForwarding(ips, findings);
  }
  const owner = ownerOf(call);
  checkFilters(owner, readAttachment(owner.network, owner.containerId, owner.ifname), findings, {
    backend: config.ipMasqBackend,
    masquerade: config.ipMasq ? ips : [],
    spoofCheck: config.macSpoofCheck && port && pod ? { port: port.name, mac: pod.mac } : undefined,
  });
  checkFeatures(call, config.features, port, findings);
  await further(findings);
  findings.throwIfAny();
};

const checkBridgeDevice = (
  config: BridgeConfig,
  prevResult: Result,
  findings: Findings,
): LinkState | undefined => {
  const bridge = readLink(config.bridge);
  if (bridge === undefined) {
    findings.add(`the bridge "${config.bridge}" is missing`);
    return undefined;
  }
  if (bridge.kind !== 'bridge') findings.add(`"${config.bridge}" is no bridge`);
  if (!bridge.up) findings.add(`the bridge "${config.bridge}" is down`);
  if (config.promiscMode && bridge.promiscuity === 0)
    findings.add(`the bridge "${config.bridge}" is not promiscuous`);
  const expected = prevResult.interfaces.find(({ name, sandbox }) => name === config.bridge && !sandbox);
  if (expected === undefined) findings.add(`prevResult does not list the bridge "${config.bridge}"`);
  else compareMac(bridge, expected, findings);
  return bridge;
};

const checkPort = (
  config: BridgeConfig,
  port: LinkState | undefined,
  bridge: LinkState | undefined,
  findings: Findings,
): void => {
  if (port === undefined) return;
  if (bridge !== undefined && port.master !== bridge.index) {
    findings.add(`"${port.name}" is no port of the bridge "${config.bridge}"`);
    return;
  }
  if (config.hairpinMode && !port.port?.hairpin) findings.add(`"${port.name}" is not in hairpin mode`);
  if (config.portIsolation && !port.port?.isolated) findings.add(`"${port.name}" is not isolated`);
};

const checkGateways = (config: BridgeConfig, ips: IpConfig[], findings: Findings): void => {
  const device = gatewayDevice(config);
  const link = readLink(device);
  if (link === undefined) {
    findings.add(`the gateway device "${device}" is missing`);
    return;
  }
  const present = readAddresses(link.index);
  for (const { cidr } of gatewaysOf(ips)) {
    if (!present.some(({ address, prefixLength }) => sameCidr(`${address}/${prefixLength}`, cidr))) {
      findings.add(`"${device}" lacks the gateway address ${cidr}`);
    }
  }
};
