import type { Call } from '../../cni/plugin.ts';
import { emptyResult, type Interface, type IpConfig, type Result } from '../../cni/types.ts';
import { isAtLeast } from '../../cni/versions.ts';
import { AttachedFeatures, type FeatureSite } from '../../features/attach.ts';
import type { IpBatch } from '../../kernel/ip-batch.ts';
import { readLink } from '../../kernel/link.ts';
import { randomMac } from '../../kernel/mac.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { BridgeRecord } from '../../store/attachments.ts';
import { allocateAddresses } from '../allocate.ts';
import type { Attacher } from '../attacher.ts';
import { announcePod, configurePod, waitForDad } from '../configure-pod.ts';
import { requireContainerNetns } from '../container-netns.ts';
import { withDefaultRoutes } from '../default-routes.ts';
import { deleteLink } from '../delete-link.ts';
import { type StartedFilters, startFilters } from '../filters.ts';
import { requireFreeInterface } from '../free-interface.ts';
import { removeLeftHostEnd } from '../host-end.ts';
import { derivedInterfaceName, hostInterfaceAlias, hostInterfaceName } from '../host-interface-name.ts';
import { ownerOf } from '../owner.ts';
import { resolveRoutes } from '../pod-batch.ts';
import { enableForwarding, familiesOf } from '../pod-sysctls.ts';
import { completeRecord, rememberAttachment } from '../record.ts';
import { type Undo, withUndo } from '../undo.ts';
import { waitForDelivery } from '../wait-for-delivery.ts';
import { startIps } from '../waiting-ips.ts';
import { applyHostSide, type HostSide, waitForPort } from './apply-host.ts';
import { type BridgeConfig, gatewayDevice, usesVlans } from './config.ts';
import { gatewaysOf, withGateways } from './gateways.ts';
import type { Names } from './host-batch.ts';

/**
 * ADD to a bridge: reserves addresses, then makes the bridge where needed, the veth, the pod's addresses and
 * routes, and the packet filter's part, with at most three children. A failure or a signal at any
 * step takes everything back.
 */
export const attachToBridge = (call: Call, config: BridgeConfig, attacher: Attacher): Promise<Result> =>
  withUndo(async (undo) => {
    const netns = requireContainerNetns(call.env);
    const ip = startIps(netns, undo);
    const features = new AttachedFeatures(call, config.features, undo);
    await requireFreeInterface(call, netns);
    const allocated = await allocate(call, config, undo);
    await attacher.prepareHost?.();
    await call.checkpoint();

    await removeLeftHostEnd(ownerOf(call));
    const names = chooseNames(call, config, netns);
    const gateways = config.isGateway ? gatewaysOf(allocated.ips) : [];
    const record = rememberAttachment(
      call,
      attacher,
      {
        hostInterface: names.hostInterface,
        ips: allocated.ips,
        masquerade: config.ipMasq,
        spoofCheck: config.macSpoofCheck,
        mac: names.podMac,
        host: {
          forwarding: gateways.length > 0 ? familiesOf(allocated.ips) : [],
          gateways: gateways.map(({ cidr }) => cidr),
          gatewayDevice: gatewayDevice(config),
          routes: [],
          bridge: bridgeRecord(config),
        },
        features: features.names,
      },
      undo,
    );
    await features.prepare(siteOf(config, names, allocated));
    const isFirst = readLink(config.bridge) === undefined;
    const start = (): StartedFilters => {
      const started = startFilters(
        ownerOf(call),
        {
          backend: config.ipMasqBackend,
          masquerade: config.ipMasq ? allocated.ips : [],
          spoofCheck: config.macSpoofCheck ? { port: names.hostInterface, mac: names.podMac } : undefined,
          ...features.filters,
        },
        isFirst,
      );
      undo.add('remove the packet filter rules', started.remove);
      return started;
    };
    // What all pods of a bridge share in the packet filter goes with it: another network's GC must find it.
    const early = isFirst && features.guardsDevice ? undefined : start();
    undo.add(`remove the interface "${names.hostInterface}"`, () => deleteLink(names.hostInterface));
    const addLines = (batch: IpBatch): void => features.addHostLines(batch);
    const host = await applyHostSide(ip.host, { config, names, gateways, addLines }, call.checkpoint);
    features.begin();
    const filters = early ?? start();
    if (config.isGateway) enableForwarding(allocated.ips);
    await call.checkpoint();

    if (config.disableContainerInterface) {
      ip.pod.dismiss();
    } else {
      configurePod(netns, ip.pod, {
        ifname: call.env.ifname,
        ips: allocated.ips,
        routes: resolveRoutes(allocated.routes, allocated.ips, cidrsOf(allocated.ips)),
        enableDad: config.enableDad,
        noPrefixRoute: false,
      });
    }
    const backend = await filters.applied;
    if (!config.disableContainerInterface) {
      waitForPort(names.hostInterface);
      if (config.enableDad) await waitForDad(netns, call.env.ifname);
      netns.run(() => waitForDelivery(call.env.ifname, cidrsOf(allocated.ips)));
      announcePod(netns, call.env.ifname);
    }
    waitForDelivery(
      gatewayDevice(config),
      gateways.map(({ cidr }) => cidr),
    );
    const further = features.finish();
    await call.checkpoint();
    const { bridgeMac: mac, bridgeMtu: mtu } = host;
    Object.assign(record.host?.bridge ?? {}, { mac, mtu });
    completeRecord(record, backend);
    const result = resultOf(call, config, names, allocated, host);
    return { ...result, interfaces: [...result.interfaces, ...further] };
  });

/** The addresses and routes the pod gets, gateways included; none on a network without IPAM. */
const allocate = async (call: Call, config: BridgeConfig, undo: Undo): Promise<Result> => {
  if (config.ipamType === '') return { ...emptyResult(), dns: config.dns ?? {} };
  const ipam = await allocateAddresses(call, config.ipamType, undo);
  const ips = (config.isGateway ? withGateways(ipam.ips) : ipam.ips).map((ip) => ({ ...ip, interface: 2 }));
  const routes = config.isDefaultGateway ? withDefaultRoutes(ipam.routes, ips) : ipam.routes;
  return { interfaces: [], ips, routes, dns: config.dns ?? ipam.dns };
};

const bridgeRecord = (config: BridgeConfig): BridgeRecord => ({
  name: config.bridge,
  promiscuous: config.promiscMode,
  vlans: usesVlans(config),
  hairpin: config.hairpinMode,
  isolated: config.portIsolation,
});

const siteOf = (config: BridgeConfig, names: Names, { ips }: Result): FeatureSite => ({
  hostInterface: names.hostInterface,
  mtu: config.mtu,
  ips,
  device: config.bridge,
  deviceIsShared: true,
});

const cidrsOf = (ips: IpConfig[]): string[] => ips.map(({ address }) => address);

const chooseNames = (call: Call, config: BridgeConfig, netns: Netns): Names => {
  const owner = ownerOf(call);
  return {
    bridgeMac: randomMac(),
    hostInterface: hostInterfaceName(owner),
    hostMac: randomMac(),
    vlanPort: derivedInterfaceName(`vlan device ${gatewayDevice(config)}`),
    ifname: call.env.ifname,
    podMac: config.mac ?? randomMac(),
    netnsReference: netns.reference,
    alias: hostInterfaceAlias(owner),
  };
};

/** Interfaces in the reference's order: bridge, host end, container, and the VLAN device if there is one. */
const resultOf = (
  call: Call,
  config: BridgeConfig,
  names: Names,
  allocated: Result,
  host: HostSide,
): Result => {
  const interfaces: Interface[] = [
    { name: config.bridge, mac: host.bridgeMac, mtu: host.bridgeMtu },
    { name: names.hostInterface, mac: names.hostMac, mtu: host.portMtu },
    { name: names.ifname, mac: names.podMac, mtu: host.portMtu, sandbox: call.env.netns },
  ];
  if (host.vlanDevice !== undefined) interfaces.push(host.vlanDevice);
  if (!isAtLeast(call.config.cniVersion, '1.1.0')) for (const entry of interfaces) delete entry.mtu;
  return { ...allocated, interfaces };
};
