import { ipConfigOf } from '../../../ipam/cluster-ipam/add.ts';
import { parseHostLocal, parsePlace } from '../../../ipam/host-local/config.ts';
import { parseStatic } from '../../../ipam/static/config.ts';
import { parseVxlanConfig } from '../../../plugins/vxlan/config.ts';
import { withNodeRanges } from '../../../plugins/vxlan/node-ranges.ts';
import { readNodes } from '../../../plugins/vxlan/peers.ts';
import { parseBridgeConfig } from '../../../shared/attachment/bridge/config.ts';
import { gatewayChanges, gatewaysOf, withGateways } from '../../../shared/attachment/bridge/gateways.ts';
import {
  addGatewayLines,
  addPortLines,
  bridgeBatch,
  vlanBatch,
} from '../../../shared/attachment/bridge/host-batch.ts';
import { withDefaultRoutes } from '../../../shared/attachment/default-routes.ts';
import { podBatch, resolveRoutes } from '../../../shared/attachment/pod-batch.ts';
import { parseVethConfig } from '../../../shared/attachment/veth/config.ts';
import {
  hostAddresses,
  hostRoutes,
  surroundingRoutes,
  withHostGateways,
} from '../../../shared/attachment/veth/routing.ts';
import type { Call } from '../../../shared/cni/plugin.ts';
import type { IpConfig, JsonObject, Route } from '../../../shared/cni/types.ts';
import { firstClaimable, freelyGiven } from '../../../shared/ipam/blocks.ts';
import { parseClusterIpam, requestOf } from '../../../shared/ipam/config.ts';
import { seedOf } from '../../../shared/ipam/node.ts';
import { parsePools } from '../../../shared/ipam/pool.ts';
import { formatAddress, formatCidr } from '../../../shared/kernel/address-math.ts';
import { IpBatch } from '../../../shared/kernel/ip-batch.ts';

interface Allocated {
  ips: IpConfig[];
  routes: Route[];
}

/** What IPAM would give: the first address of each range, or the addresses configured. */
const allocate = ({ config, env }: Call): Allocated => {
  const ipamKeys = config.json.ipam as JsonObject | undefined;
  if (ipamKeys?.type === 'static') {
    const { addresses, routes } = parseStatic(config, env);
    const ips = addresses.map(({ address, gateway }) => ({
      address: formatCidr(address),
      ...(gateway === undefined ? {} : { gateway: formatAddress(gateway) }),
    }));
    return { ips, routes };
  }
  const { sets, routes } = parseHostLocal(config, env);
  const ips = sets.flatMap(([range]) =>
    range === undefined
      ? []
      : [
          {
            address: formatCidr({ ...range.subnet, value: range.first }),
            gateway: formatAddress(range.gateway),
          },
        ],
  );
  return { ips, routes };
};

const podText = (call: Call, ips: IpConfig[], routes: Route[]): string =>
  podBatch({
    ifname: call.env.ifname,
    ips,
    routes: resolveRoutes(
      routes,
      ips,
      ips.map(({ address }) => address),
    ),
    enableDad: false,
    noPrefixRoute: false,
  }).toString();

/** The pure part of the bridge plugin's ADD: the batches that it plans, as text. Throws CniError. */
export const planBridge = (call: Call, config = parseBridgeConfig(call)): string[] => {
  const names = {
    bridgeMac: '02:00:00:00:00:01',
    hostInterface: 'veth0123456789a',
    hostMac: '02:00:00:00:00:02',
    vlanPort: 'veth0123456789b',
    ifname: call.env.ifname,
    podMac: config.mac ?? '02:00:00:00:00:03',
    netnsReference: '/proc/1/fd/3',
    alias: 'podwire:n/c/i',
  };
  const observed = { bridge: undefined, vlanDevice: undefined };
  const batch = bridgeBatch(config, observed, names, config.vlan !== 0);
  const allocated = config.ipamType === '' ? { ips: [], routes: [] } : allocate(call);
  const ips = config.isGateway ? withGateways(allocated.ips) : allocated.ips;
  const gateways = config.isGateway ? gatewaysOf(ips) : [];
  addGatewayLines(batch, config.bridge, undefined, gatewayChanges(config.bridge, gateways, [], false));
  addPortLines(batch, config, names);
  const routes = config.isDefaultGateway ? withDefaultRoutes(allocated.routes, ips) : allocated.routes;
  return [batch.toString(), podText(call, ips, routes), vlanBatch(config, names, true).toString()];
};

/** The same for a routed veth. */
export const planVeth = (call: Call, config = parseVethConfig(call)): string[] => {
  const allocated = allocate(call);
  const ips = withHostGateways(allocated.ips);
  const batch = new IpBatch();
  for (const address of hostAddresses(ips)) batch.add('address', 'add', address, 'dev', 'veth0');
  for (const dst of hostRoutes(ips)) batch.add('route', 'replace', dst, 'dev', 'veth0');
  const routes = config.isDefaultGateway ? withDefaultRoutes(allocated.routes, ips) : allocated.routes;
  return [batch.toString(), podText(call, ips, [...surroundingRoutes(ips), ...routes])];
};

/** The attachment of a pod to an overlay whose nodes the configuration has. */
export const planVxlan = (call: Call): string[] => {
  const { peers, node, attachment } = parseVxlanConfig(call);
  // Files and the agent's state are not the configuration's.
  if (peers.from !== 'config') return [];
  const { own } = readNodes(peers, node ?? 'this');
  const ranged = withNodeRanges(call, own.podCIDRs);
  return attachment.by === 'bridge'
    ? planBridge(ranged, attachment.config)
    : planVeth(ranged, attachment.config);
};

/** The addresses of host-local on a pod's interface. */
export const planHostLocal = (call: Call): string[] => {
  parsePlace(call.config);
  return planStatic(call);
};

/** The addresses of cluster-ipam: the first that each pool's first block would give. */
export const planClusterIpam = (call: Call): string[] => {
  const cluster = parseClusterIpam(call.config);
  requestOf(cluster, call.config, call.env);
  const { pools } = parsePools(cluster.node.pools ?? []);
  const ips = pools.flatMap((pool) => {
    const block = firstClaimable(pool, seedOf(cluster.node), [], cluster.node.ownSubnet);
    const [span] = block === undefined ? [] : freelyGiven(pool, block, cluster.node.ownSubnet);
    if (span === undefined || block === undefined) return [];
    return [ipConfigOf({ address: { family: span.family, value: span.first }, pool, block }, cluster.prefix)];
  });
  return [podText(call, ips, cluster.routes)];
};

/** The addresses of static, or of whichever `ipam` says. */
export const planStatic = (call: Call): string[] => {
  const { ips, routes } = allocate(call);
  return [podText(call, ips, routes)];
};
