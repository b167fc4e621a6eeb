import { expect } from 'vitest';
import { addressesOf, linkNames, linkOf, reservations, routesOf } from '../../plugins/kernel-state.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../../support/snapshot.ts';
import { ping } from '../../support/traffic.ts';
import { type Case, from, oldAndNew, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';

const hasCheck = from('0.4.0');

/** ADD, CHECK and DEL of a bridge that is the default gateway of these ranges. */
const defaultGateway = (
  name: string,
  subnets: string[],
  expected: { pod: string[]; gateways: string[] },
  versions?: Case['versions'],
): Case => ({
  id: `bridge-default-gateway-${name}`,
  covers: ['A1', 'C4', 'D1'],
  title: `is the default gateway of ${subnets.join(', ')}`,
  applies: only('bridge'),
  ...(versions !== undefined && { versions }),
  run: async (trial) => {
    const ranges = subnets.map((subnet) => [{ subnet }]);
    const ipam = { type: 'host-local', ranges };
    const config = trial.config({ isGateway: undefined, isDefaultGateway: true, ipMasq: false, ipam });
    const container = await trial.container({ config });
    const { host } = trial;
    const before = await snapshot(host);
    await container.add();
    expect((await addressesOf(container.pod, 'eth0')).toSorted()).toEqual(expected.pod.toSorted());
    expect((await addressesOf(host, 'cni0')).map((address) => address.split('/')[0]).toSorted()).toEqual(
      expected.gateways.toSorted(),
    );
    for (const family of [4, 6] as const) {
      const defaults = (await routesOf(container.pod, family)).filter(({ dst }) => dst === 'default');
      const [gateway] = expected.gateways.filter((address) => address.includes(':') === (family === 6));
      expect(defaults.map((route) => route.gateway)).toEqual(gateway === undefined ? [] : [gateway]);
    }
    for (const gateway of expected.gateways) expect(await ping(container.pod, gateway)).toBe(true);
    if (hasCheck(trial.version)) await container.check();
    await container.del();
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  },
});

/** From ADD to DEL. */
export const bridgeLifecycleScenarios: readonly Case[] = [
  defaultGateway('ipv4', ['10.30.0.0/16'], { pod: ['10.30.0.2/16'], gateways: ['10.30.0.1'] }),
  defaultGateway('ipv6', ['fd30::/64'], { pod: ['fd30::2/64'], gateways: ['fd30::1'] }, 'newest'),
  defaultGateway('dual', ['10.30.0.0/16', 'fd30::/64'], {
    pod: ['10.30.0.2/16', 'fd30::2/64'],
    gateways: ['10.30.0.1', 'fd30::1'],
  }),
  defaultGateway(
    'several',
    ['fd30::/64', 'fd31::/64', '10.30.0.0/16'],
    { pod: ['fd30::2/64', 'fd31::2/64', '10.30.0.2/16'], gateways: ['fd30::1', 'fd31::1', '10.30.0.1'] },
    oldAndNew('0.3.0'),
  ),
  {
    id: 'bridge-default-gateway-of-ipam',
    covers: [],
    title: 'isDefaultGateway leaves a default route of the IPAM plugin alone',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const routes = [{ dst: '0.0.0.0/0', gw: '10.30.0.77' }];
      const config = { ...trial.ipamConfig({ routes }), isDefaultGateway: true };
      const container = await trial.container({ config });
      expect((await container.add()).routes).toEqual(routes);
      const defaults = (await routesOf(container.pod)).filter(({ dst }) => dst === 'default');
      expect(defaults.map(({ gateway }) => gateway)).toEqual(['10.30.0.77']);
    },
  },
  {
    id: 'bridge-layer2',
    covers: ['L6'],
    title: 'without IPAM it is a port and nothing else',
    applies: only('bridge'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ ipMasq: false, ipam: undefined }) });
      const before = await snapshot(trial.host);
      const { interfaces, ips, routes } = await container.add();
      expect(interfaces?.map(({ sandbox }) => sandbox ?? '')).toEqual(['', '', container.pod.netns]);
      expect([ips ?? [], routes ?? []]).toEqual([[], []]);
      expect((await linkOf(container.pod, 'eth0')).flags).toContain('LOWER_UP');
      expect(await addressesOf(container.pod, 'eth0')).toEqual([]);
      expect(await routesOf(container.pod)).toEqual([]);
      await container.del();
      expect(leftovers(before, await snapshot(trial.host), keptBridge('cni0'))).toEqual(nothing);
    },
  },
  {
    id: 'bridge-layer2-check',
    covers: ['L6', 'C4'],
    title: 'CHECK without IPAM calls no plugin',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ ipam: undefined }) });
      await container.add();
      await container.check();
      await container.pod.exec(['ip', 'link', 'del', 'eth0']);
      expectError(await container.attempt('CHECK'));
    },
  },
  {
    id: 'bridge-del-unconfigured',
    covers: ['D2', 'D3'],
    title: 'DEL of what was never added is done: with a netns, without, and with one that is gone',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const before = await snapshot(trial.host);
      for (const netns of [container.pod, '', '/run/netns/gone']) {
        expectSilence(await container.attempt('DEL', { netns }));
      }
      expect(leftovers(before, await snapshot(trial.host))).toEqual(nothing);
    },
  },
  {
    id: 'bridge-late-failure',
    covers: ['L5'],
    title: 'an address is free again when the kernel refuses a route',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const config = { ...trial.ipamConfig({ routes: [{ dst: '192.0.2.7/24' }] }), ipMasq: false };
      const container = await trial.container({ config });
      expectError(await container.attempt('ADD'));
      expect(await reservations(trial.host, 'pods')).toEqual([]);
      await container.del();
      expect(await linkNames(container.pod)).toEqual(['lo']);
    },
  },
];
