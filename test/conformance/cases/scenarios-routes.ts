import { writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { addressesOf, routesOf } from '../../plugins/kernel-state.ts';
import { type Case, only } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';
import type { NetworkConfig, Trial } from '../suite/trial.ts';

const both = [
  { address: '10.30.0.5/16', gateway: '10.30.0.1' },
  { address: 'fd30::5/64', gateway: 'fd30::1' },
];

/** A static address of each family that the routes have. */
const withRoutes = (trial: Trial, routes: { dst: string }[]): NetworkConfig => {
  const isNeeded = ({ address }: { address: string }): boolean =>
    routes.some(({ dst }) => dst.includes(':') === address.includes(':'));
  const ipam = { type: 'static', addresses: both.filter(isNeeded), routes };
  return trial.config({ ipMasq: false, ipam });
};

/** A route of the IPAM plugin, and what the container's kernel has to show of it. */
const route = (
  type: string,
  name: string,
  { dst, ...keys }: { dst: string; [key: string]: unknown },
  expected: object,
  table = 'main',
): Case => ({
  id: `${type}-route-${name}`,
  covers: [],
  title: `${JSON.stringify({ dst, ...keys })} is in the container as it is given`,
  applies: only(type),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container({ config: withRoutes(trial, [{ dst, ...keys }]) });
    await container.add();
    const routes = await routesOf(container.pod, dst.includes(':') ? 6 : 4, table);
    expect(routes).toContainEqual(expect.objectContaining({ dst, ...expected }));
  },
});

/** CHECK of routes that are there, and of one that is not. */
const checkedRoutes = (
  type: string,
  what: string,
  name: string,
  routes: { dst: string; gw?: string }[],
): Case => ({
  id: `${type}-route-check-${name}`,
  covers: ['C1', 'C4'],
  title: `CHECK finds routes ${what}, and sees when one is lost`,
  applies: only(type),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container({ config: withRoutes(trial, routes) });
    await container.add();
    await container.check();
    const { dst = '', gw } = routes.at(-1) ?? {};
    const by = gw === undefined ? [] : ['via', gw];
    await container.pod.exec(['ip', 'route', 'del', dst, ...by, 'dev', 'eth0']);
    expectError(await container.attempt('CHECK'));
  },
});

const interfaceScenarios = (type: string): readonly Case[] => [
  route(type, 'by-gateway', { dst: '192.0.2.0/24' }, { gateway: '10.30.0.1' }),
  route(type, 'by-gateway-ipv6', { dst: '2001:db8::/32' }, { gateway: 'fd30::1' }),
  route(type, 'by-another', { dst: '192.0.2.0/24', gw: '10.30.0.7' }, { gateway: '10.30.0.7' }),
  route(type, 'priority', { dst: '192.0.2.0/24', priority: 55 }, { metric: 55 }),
  route(type, 'table', { dst: '192.0.2.0/24', table: 77 }, {}, '77'),
  route(type, 'scope', { dst: '192.0.2.0/24', scope: 253 }, { scope: 'link' }),
  route(
    type,
    'mtu',
    { dst: '192.0.2.0/24', mtu: 1400, advmss: 1300 },
    { metrics: [{ mtu: 1400, advmss: 1300 }] },
  ),
  {
    id: `${type}-route-ecmp`,
    covers: [],
    title: 'routes to one destination by several gateways are all there',
    applies: only(type),
    versions: 'newest',
    run: async (trial) => {
      const gateways = ['10.30.0.7', '10.30.0.8', 'fd30::7', 'fd30::8'];
      const routes = gateways.map((gw) => ({ dst: gw.includes(':') ? '2001:db8::/32' : '192.0.2.0/24', gw }));
      const container = await trial.container({ config: withRoutes(trial, routes) });
      await container.add();
      const found = [...(await routesOf(container.pod, 4)), ...(await routesOf(container.pod, 6))]
        .filter(({ dst }) => routes.some((wanted) => wanted.dst === dst))
        .flatMap(({ gateway, nexthops = [] }) => [gateway, ...nexthops.map((hop) => hop.gateway)])
        .filter((gateway) => gateway !== undefined);
      expect(found.toSorted()).toEqual(gateways);
    },
  },
  checkedRoutes(type, 'without a gateway of its own', 'plain', [
    { dst: '192.0.2.0/24' },
    { dst: '2001:db8::/32' },
  ]),
  checkedRoutes(type, 'by several gateways', 'ecmp', [
    { dst: '2001:db8::/32', gw: 'fd30::7' },
    { dst: '2001:db8::/32', gw: 'fd30::8' },
  ]),
  {
    id: `${type}-address-kept`,
    covers: [],
    title: 'an IPv6 address outlives its link being down',
    applies: only(type),
    versions: 'newest',
    run: async (trial) => {
      const ipam = { type: 'static', addresses: both };
      const container = await trial.container({ config: trial.config({ ipMasq: false, ipam }) });
      await container.add();
      await container.pod.shell('ip link set eth0 down; ip link set eth0 up');
      expect((await addressesOf(container.pod, 'eth0')).toSorted()).toEqual(['10.30.0.5/16', 'fd30::5/64']);
    },
  },
  {
    id: `${type}-interface-index`,
    covers: ['R6'],
    title: 'an interface index of an IPAM plugin means nothing: the result has the right one',
    applies: only(type),
    versions: 'newest',
    run: async (trial) => {
      const { host, subject, version } = trial;
      const ips = [{ address: '10.30.0.5/16', gateway: '10.30.0.1', interface: 7 }];
      await host.exec(['mkdir', '/run/ipam']);
      const script = `#!/bin/sh\n[ "$CNI_COMMAND" != ADD ] || echo '${JSON.stringify({ cniVersion: version, ips })}'\n`;
      writeFileSync(host.path('/run/ipam/numbering'), script, { mode: 0o755 });
      const config = trial.config({ ipMasq: false, ipam: { type: 'numbering' } });
      const container = await trial.container({ config });
      const path = ['/run/ipam', subject.binDir];
      const result = await container.add({ path });
      expect(result.interfaces?.[result.ips?.[0]?.interface ?? -1]?.sandbox).toBe(container.pod.netns);
      expect(await addressesOf(container.pod, 'eth0')).toEqual(['10.30.0.5/16']);
      await container.del({ path });
    },
  },
];

/** What plugins do with the addresses and routes that an IPAM plugin gives them. */
export const routeScenarios: readonly Case[] = ['bridge', 'ptp'].flatMap(interfaceScenarios);
