import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { Call } from '../../cni/plugin.ts';
import type { Interface, IpConfig, Result } from '../../cni/types.ts';
import { isAtLeast } from '../../cni/versions.ts';
import { AttachedFeatures } from '../../features/attach.ts';
import { IpBatch } from '../../kernel/ip-batch.ts';
import { readLink, waitForLink } from '../../kernel/link.ts';
import { randomMac } from '../../kernel/mac.ts';
import type { Netns } from '../../kernel/netns.ts';
import { explainingIfb } from '../../shaping/ifb.ts';
import { allocateAddresses } from '../allocate.ts';
import type { Attacher } from '../attacher.ts';
import { configurePod } from '../configure-pod.ts';
import { requireContainerNetns } from '../container-netns.ts';
import { withDefaultRoutes } from '../default-routes.ts';
import { deleteLink } from '../delete-link.ts';
import { startFilters } from '../filters.ts';
import { requireFreeInterface } from '../free-interface.ts';
import { removeLeftHostEnd } from '../host-end.ts';
import { hostInterfaceAlias, hostInterfaceName } from '../host-interface-name.ts';
import { ownerOf } from '../owner.ts';
import { resolveRoutes } from '../pod-batch.ts';
import { enableForwarding, familiesOf, prepareHostDevice } from '../pod-sysctls.ts';
import { completeRecord, rememberAttachment } from '../record.ts';
import { withUndo } from '../undo.ts';
import { waitForDelivery } from '../wait-for-delivery.ts';
import { startIps } from '../waiting-ips.ts';
import type { VethConfig } from './config.ts';
import { hostAddresses, hostRoutes, surroundingRoutes, withHostGateways } from './routing.ts';

/** How long the host end may take to get its carrier; the kernel's link watch needs about 1 ms. */
const carrierTimeoutMs = 5_000;

/**
 * ADD by a routed veth: a pair whose host end is the pod's gateway, and a host route to each of the pod's addresses. A
 * failure or a signal at any step takes everything back.
 */
export const attachByVeth = (call: Call, config: VethConfig, attacher: Attacher): Promise<Result> =>
  withUndo(async (undo) => {
    const netns = requireContainerNetns(call.env);
    const ip = startIps(netns, undo);
    const features = new AttachedFeatures(call, config.features, undo);
    await requireFreeInterface(call, netns);
    const ipam = await allocateAddresses(call, config.ipamType, undo);
    const ips = withHostGateways(ipam.ips);
    const routes = config.isDefaultGateway ? withDefaultRoutes(ipam.routes, ips) : ipam.routes;
    await attacher.prepareHost?.();
    await call.checkpoint();

    await removeLeftHostEnd(ownerOf(call));
    const ends = chooseEnds(call);
    const record = rememberAttachment(
      call,
      attacher,
      {
        hostInterface: ends.host.name,
        ips,
        masquerade: config.ipMasq,
        host: {
          forwarding: familiesOf(ips),
          gateways: hostAddresses(ips),
          gatewayDevice: ends.host.name,
          routes: hostRoutes(ips),
        },
        features: features.names,
      },
      undo,
    );
    const { mtu } = config;
    const hostInterface = ends.host.name;
    await features.prepare({ hostInterface, mtu, ips, device: hostInterface, deviceIsShared: false });
    const filters = startFilters(ownerOf(call), {
      backend: config.ipMasqBackend,
      masquerade: config.ipMasq ? ips : [],
      ...features.filters,
    });
    undo.add('remove the packet filter rules', filters.remove);
    const batch = hostBatch(call, ends, mtu, ips, netns);
    features.addHostLines(batch);
    undo.add(`remove the interface "${ends.host.name}"`, () => deleteLink(ends.host.name));
    explainingIfb(() => ip.host.run(batch, 'could not make the veth'));
    features.begin();
    prepareHostDevice(ends.host.name);
    enableForwarding(ips);
    await call.checkpoint();

    configurePod(netns, ip.pod, {
      ifname: call.env.ifname,
      ips,
      routes: [...surroundingRoutes(ips), ...resolveRoutes(routes, ips, hostAddresses(ips))],
      enableDad: false,
      noPrefixRoute: true,
    });
    const backend = await filters.applied;
    waitForCarrier(ends.host.name);
    waitForDelivery(ends.host.name, hostAddresses(ips));
    netns.run(() =>
      waitForDelivery(
        call.env.ifname,
        ips.map(({ address }) => address),
      ),
    );
    const further = features.finish();
    await call.checkpoint();
    completeRecord(record, backend);
    return {
      interfaces: [...describeEnds(call, ends), ...further],
      ips: ips.map((ip) => ({ ...ip, interface: 1 })),
      routes,
      dns: config.dns ?? ipam.dns,
    };
  });

interface Ends {
  host: Interface & { mac: string };
  pod: Interface & { mac: string };
}

const chooseEnds = (call: Call): Ends => ({
  host: { name: hostInterfaceName(ownerOf(call)), mac: randomMac() },
  pod: { name: call.env.ifname, mac: randomMac(), sandbox: call.env.netns },
});

/** The host's side: the pair with its peer in the pod's netns, the gateways, the routes to the pod. */
const hostBatch = (
  call: Call,
  { host, pod }: Ends,
  mtu: number | undefined,
  ips: IpConfig[],
  netns: Netns,
): IpBatch => {
  const mtuWords = mtu === undefined ? [] : ['mtu', mtu];
  const batch = new IpBatch();
  batch.add(
    ...['link', 'add', 'name', host.name, 'address', host.mac, ...mtuWords, 'up', 'type', 'veth'],
    ...['peer', 'name', pod.name, 'address', pod.mac, ...mtuWords, 'netns', netns.reference],
  );
  batch.add('link', 'set', 'dev', host.name, 'alias', hostInterfaceAlias(ownerOf(call)));
  for (const address of hostAddresses(ips)) {
    batch.add('address', 'add', address, 'dev', host.name, ...(address.includes(':') ? ['nodad'] : []));
  }
  // An address has one pod: a route that is left of an earlier one is replaced.
  for (const dst of hostRoutes(ips)) batch.add('route', 'replace', dst, 'dev', host.name);
  return batch;
};

/** Until the kernel has noticed the carrier, the host end drops what is sent to the pod. */
const waitForCarrier = (name: string): void => {
  if (waitForLink(name, (link) => link?.operstate === 'up', carrierTimeoutMs)) return;
  throw new CniError(ErrorCode.tryAgainLater, `the interface "${name}" did not come up`, {
    details: `It was given ${carrierTimeoutMs / 1000} s.`,
  });
};

const describeEnds = (call: Call, { host, pod }: Ends): Interface[] => {
  if (!isAtLeast(call.config.cniVersion, '1.1.0')) return [host, pod];
  const mtu = readLink(host.name)?.mtu;
  return mtu === undefined ? [host, pod] : [host, pod].map((end) => ({ ...end, mtu }));
};
