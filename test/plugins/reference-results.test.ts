import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import type { PrintedResult } from '../support/call-plugin.ts';
import type { Pod } from '../support/pod.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment, allVersions, type NetworkConfig } from './attachment.ts';
import { addressesOf, linkOf, type Route, routesOf } from './kernel-state.ts';

const v4 = [{ subnet: '10.17.0.0/24' }];
const v6 = [{ subnet: 'fd17::/64' }];
const hostLocal = (...ranges: object[]) => ({ type: 'host-local', ranges });
const fixed = (addresses: object[], rest: object = {}) => ({ type: 'static', addresses, ...rest });
const requestedMac = 'c2:b0:57:49:47:f1';
const ipamDns = { nameservers: ['10.17.0.53'], domain: 'ipam.test', search: ['a.test', 'b.test'] };
const bothRoutes = {
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: '192.0.2.0/24', gw: '10.17.0.9' }],
};

// Debian's reference plugins know no later version.
const comparable = allVersions.filter((version) => version !== '1.1.0');

/**
 * Configurations that both must understand alike. loopback is missing, as the reference prints results of
 * 1.0.0 in all versions before that.
 */
const cases: { what: string; versions?: string[]; config: Record<string, unknown>; args?: string }[] = [
  {
    what: 'bridge, default gateway',
    versions: comparable,
    config: { type: 'bridge', isDefaultGateway: true, ipam: hostLocal(v4) },
  },
  {
    what: 'bridge, two families',
    versions: ['0.2.0', '0.4.0', '1.0.0'],
    config: { type: 'bridge', isGateway: true, ipam: { ...hostLocal(v4, v6), ...bothRoutes } },
  },
  {
    what: 'ptp, two families',
    versions: ['0.1.0', '0.3.0', '1.0.0'],
    config: { type: 'ptp', ipam: { ...hostLocal(v4, v6), ...bothRoutes } },
  },
  { what: 'bridge without IPAM', config: { type: 'bridge', isGateway: true, dns: ipamDns } },
  {
    what: 'bridge without a gateway',
    config: { type: 'bridge', ipam: fixed([{ address: '10.17.0.5/24' }]) },
  },
  {
    what: 'bridge, masquerade',
    config: { type: 'bridge', isGateway: true, ipMasq: true, ipam: { ...hostLocal(v4, v6), ...bothRoutes } },
  },
  {
    what: 'bridge, several of a family',
    config: { type: 'bridge', isDefaultGateway: true, ipam: hostLocal(v6, [{ subnet: 'fd18::/64' }], v4) },
  },
  {
    what: 'bridge, MTU and MAC',
    config: { type: 'bridge', isGateway: true, mtu: 1400, ipam: hostLocal(v4) },
    args: `IgnoreUnknown=1;MAC=${requestedMac}`,
  },
  {
    what: 'bridge, a gateway that is not the first',
    config: {
      type: 'bridge',
      isDefaultGateway: true,
      ipam: hostLocal([{ ...v4[0], gateway: '10.17.0.254' }]),
    },
  },
  {
    what: 'bridge, default route of IPAM',
    config: {
      type: 'bridge',
      isDefaultGateway: true,
      ipam: { ...hostLocal(v4), routes: [{ dst: '0.0.0.0/0', gw: '10.17.0.77' }] },
    },
  },
  {
    what: 'bridge, dns of its own',
    config: {
      type: 'bridge',
      dns: { nameservers: ['192.0.2.1'] },
      ipam: fixed([{ address: '10.17.0.5/24' }], { dns: ipamDns }),
    },
  },
  {
    what: 'bridge, empty dns of its own',
    config: {
      type: 'bridge',
      dns: { search: [] },
      ipam: fixed([{ address: '10.17.0.5/24' }], { dns: ipamDns }),
    },
  },
  {
    what: 'bridge, legacy range',
    config: {
      type: 'bridge',
      isGateway: true,
      ipam: { type: 'host-local', subnet: '10.17.0.0/24', rangeStart: '10.17.0.20', gateway: '10.17.0.3' },
    },
  },
  {
    what: 'ptp, masquerade',
    config: { type: 'ptp', ipMasq: true, ipam: { ...hostLocal(v4), routes: [{ dst: '0.0.0.0/0' }] } },
  },
  { what: 'ptp, IPv6 only', config: { type: 'ptp', ipam: { ...hostLocal(v6), routes: [{ dst: '::/0' }] } } },
  {
    what: 'ptp, static',
    config: {
      type: 'ptp',
      mtu: 1300,
      ipam: fixed([{ address: '10.17.0.5/24', gateway: '10.17.0.1' }], { dns: ipamDns }),
    },
  },
  {
    what: 'ptp, another gateway',
    config: { type: 'ptp', ipam: { ...hostLocal(v4), routes: [{ dst: '192.0.2.0/24', gw: '10.17.0.9' }] } },
  },
];
const runs = cases.flatMap(({ versions = ['0.3.1', '1.0.0'], ...entry }) =>
  versions.map((cniVersion) => ({ ...entry, cniVersion })),
);

describe('the same result and the same interface as the reference', () => {
  let [ours, theirs]: (TestHost | undefined)[] = [];
  beforeAll(async () => {
    expectPlugins(referenceBin, 'bridge', 'ptp', 'host-local', 'static');
    [ours, theirs] = await Promise.all([createHost({ name: 'ours' }), createHost({ name: 'theirs' })]);
  });
  afterAll(async () => {
    await Promise.all([ours?.dispose(), theirs?.dispose()]);
  });

  test.for(runs)('$cniVersion: $what', async ({ config, cniVersion, args }) => {
    if (ours === undefined || theirs === undefined) throw new Error('there are no hosts');
    const network = { ...config, cniVersion, name: 'same' } as NetworkConfig;
    const [mine, reference] = await Promise.all([
      attachAndLook(ours, podwireBin, network, args),
      attachAndLook(theirs, referenceBin, network, args),
    ]);
    expect(mine).toEqual(reference);
  });
});

/** ADD, a look at the pod, DEL. (CHECK of the reference fails without IPAM.) */
const attachAndLook = async (
  host: TestHost,
  binDir: string,
  network: NetworkConfig,
  args: string | undefined,
) => {
  const pod = await host.addPod('pod');
  const attachment = new Attachment(host, pod, network, { binDir, ...(args !== undefined && { args }) });
  try {
    const result = await attachment.add();
    return {
      result: normalised(result),
      addresses: (await addressesOf(pod, 'eth0')).toSorted(),
      mtu: (await linkOf(pod, 'eth0')).mtu,
      routes: [...(await visibleRoutes(pod, 4)), ...(await visibleRoutes(pod, 6))],
    };
  } finally {
    await attachment.del();
    await pod.remove();
    await host.shell('rm -rf /var/lib/cni/networks; ip link del cni0 2>/dev/null || true');
  }
};

/** Random names and addresses of links replaced, an empty `dns` dropped: 1.0.0 lets it be left out. */
const normalised = ({ interfaces, dns, ...rest }: PrintedResult): object => ({
  ...rest,
  interfaces: interfaces?.map(({ name, mac = '', ...entry }) => ({
    ...entry,
    name: name.replace(/^veth[0-9a-f]+$/, 'veth'),
    mac: mac === requestedMac ? mac : mac.replaceAll(/[0-9a-f]/g, 'x'),
  })),
  ...(dns !== undefined && Object.keys(dns).length > 0 && { dns }),
});

/** What a route does, without who made it; the kernel's own link-local ones come when they like. */
const visibleRoutes = async (pod: Pod, family: 4 | 6): Promise<string[]> => {
  const show = ({ dst, gateway, dev, scope, prefsrc }: Route): string =>
    JSON.stringify({ dst, gateway, dev, scope, ...(family === 4 && { prefsrc }) });
  const routes = await routesOf(pod, family);
  return routes
    .filter(({ dst }) => !dst.startsWith('fe80:'))
    .map(show)
    .toSorted();
};
