import { expect } from 'vitest';
import { addressesOf, linkNames, linkOf, routesOf } from '../../plugins/kernel-state.ts';
import { leftovers, nothing, snapshot } from '../../support/snapshot.ts';
import { ping } from '../../support/traffic.ts';
import { type Case, from, oldAndNew, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';

const ranges = [[{ subnet: '10.30.0.0/16' }], [{ subnet: 'fd30::/64' }]];
const gateways = ['10.30.0.1', 'fd30::1'];
const ipamDns = { nameservers: ['10.30.0.53'], domain: 'ipam.test', search: ['a.test', 'b.test'] };

/** ADD, CHECK and DEL of these ranges and routes. */
const lifecycle = (
  name: string,
  families: (4 | 6)[],
  routes: { dst: string; gw?: string }[],
  versions?: Case['versions'],
): Case => ({
  id: `ptp-${name}`,
  covers: ['A1', 'C4', 'D1'],
  title: `ADD, CHECK and DEL with routes to ${routes.map(({ dst }) => dst).join(', ')}`,
  applies: only('ptp'),
  ...(versions !== undefined && { versions }),
  run: async (trial) => {
    const { host } = trial;
    const config = {
      ...trial.ipamConfig({ ranges: families.map((family) => ranges[family === 4 ? 0 : 1]), routes }),
      ipMasq: false,
    };
    const container = await trial.container({ config });
    const before = await snapshot(host);
    await container.add();
    const wanted = families.map((family) => (family === 4 ? '10.30.0.2/16' : 'fd30::2/64'));
    expect((await addressesOf(container.pod, 'eth0')).toSorted()).toEqual(wanted);
    for (const family of families) {
      const found = await routesOf(container.pod, family);
      const gateway = gateways[family === 4 ? 0 : 1] ?? '';
      expect(found).toContainEqual(expect.objectContaining({ dst: gateway }));
      for (const { dst, gw = gateway } of routes.filter(
        (entry) => entry.dst.includes(':') === (family === 6),
      ))
        expect(found).toContainEqual(
          expect.objectContaining({ dst: dst.endsWith('/0') ? 'default' : dst, gateway: gw }),
        );
      expect(await ping(container.pod, gateway)).toBe(true);
    }
    for (const address of container.addresses) expect(await ping(host, address)).toBe(true);
    if (from('0.4.0')(trial.version)) await container.check();
    await container.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  },
});

/** Where the dns of the result comes from. */
const dns = (name: string, own: object | undefined, expected: object): Case => ({
  id: `ptp-dns-${name}`,
  covers: [],
  title: `reports the dns ${own === undefined ? 'of IPAM without' : 'of its own with'} one of its own`,
  applies: only('ptp'),
  versions: oldAndNew('0.2.0'),
  run: async (trial) => {
    const ipam = {
      type: 'static',
      addresses: [{ address: '10.30.0.5/16', gateway: '10.30.0.1' }],
      dns: ipamDns,
    };
    const container = await trial.container({ config: trial.config({ ipMasq: false, ipam, dns: own }) });
    expect((await container.add()).dns).toEqual(expected);
  },
});

/** What ptp does beyond what every network plugin does. */
export const ptpScenarios: readonly Case[] = [
  lifecycle('ipv4', [4], [{ dst: '0.0.0.0/0' }]),
  lifecycle(
    'dual-stack',
    [4, 6],
    [
      { dst: '0.0.0.0/0' },
      { dst: '192.0.2.0/24', gw: '10.30.0.9' },
      { dst: '::/0' },
      { dst: '2001:db8::/32', gw: 'fd30::1' },
    ],
    oldAndNew('0.2.0'),
  ),
  dns('of-ipam', undefined, ipamDns),
  dns('of-its-own', { nameservers: ['192.0.2.1'] }, { nameservers: ['192.0.2.1'] }),
  {
    id: 'ptp-one-gateway',
    covers: ['A5'],
    title: 'two containers have one gateway address, and reach it, each other and the host',
    applies: only('ptp'),
    versions: 'newest',
    run: async (trial) => {
      const { host } = trial;
      const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
      const config = { ...trial.ipamConfig({ ranges, routes }), ipMasq: false };
      const [a, b] = [await trial.container({ config }), await trial.container({ config })];
      for (const container of [a, b]) {
        const { interfaces = [] } = await container.add();
        const [port] = interfaces.filter(({ sandbox }) => !sandbox);
        expect(await addressesOf(host, port?.name ?? '')).toEqual(
          expect.arrayContaining(['10.30.0.1/32', 'fd30::1/128']),
        );
      }
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (const address of [...gateways, ...to.addresses])
          expect(await ping(from.pod, address), `${address} is reached`).toBe(true);
      }
      await a.del();
      for (const address of b.addresses) expect(await ping(host, address)).toBe(true);
      await b.check();
    },
  },
  {
    id: 'ptp-mtu',
    covers: [],
    title: 'gives both ends the MTU',
    applies: only('ptp'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ mtu: 1400 }) });
      const { interfaces = [] } = await container.add();
      expect((await linkOf(container.pod, 'eth0')).mtu).toBe(1400);
      expect((await linkOf(trial.host, interfaces[0]?.name ?? '')).mtu).toBe(1400);
    },
  },
  {
    id: 'ptp-without-ipam',
    covers: ['L6'],
    title: 'needs an IPAM plugin',
    applies: only('ptp'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ ipam: {} }) });
      expectError(await container.attempt('ADD'));
      expect(await linkNames(container.pod)).toEqual(['lo']);
    },
  },
  {
    id: 'ptp-del-unconfigured',
    covers: ['D2', 'D3'],
    title: 'DEL of what was never added is done: with a netns, without, and with one that is gone',
    applies: only('ptp'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const before = await snapshot(trial.host);
      for (const netns of [container.pod, '', '/run/netns/gone'])
        expectSilence(await container.attempt('DEL', { netns }));
      expect(leftovers(before, await snapshot(trial.host))).toEqual(nothing);
    },
  },
];
