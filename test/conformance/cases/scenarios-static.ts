import { expect } from 'vitest';
import type { PrintedResult } from '../../support/call-plugin.ts';
import { type Case, from, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';

/** The addresses of a result with their gateways, in the shape of any version. */
const addressesIn = ({ ips, ip4, ip6 }: PrintedResult): [string, string | undefined][] =>
  ips?.map(({ address, gateway }) => [address, gateway]) ??
  [ip4, ip6].flatMap((entry) => (entry === undefined ? [] : [[entry.ip, entry.gateway]]));

const environment = { args: 'IgnoreUnknown=1;IP=10.30.0.6/16,fd30::6/64;GATEWAY=10.30.0.9' };
const inArgs = { args: { cni: { ips: ['10.30.0.7/16', 'fd30::7/64'] } } };
const byCapability = { runtimeConfig: { ips: ['10.30.0.8/16'] } };

/** Addresses from elsewhere than the configuration; `addresses` is what "ipam" has. */
const source = (
  name: string,
  title: string,
  given: { config?: object; args?: string; addresses?: object[] },
  expected: [string, string | undefined][],
): Case => ({
  id: `static-${name}`,
  covers: ['E7'],
  title,
  applies: only('static'),
  versions: 'newest',
  run: async (trial) => {
    const { config = {}, args, addresses } = given;
    const ipam = addresses === undefined ? {} : { ipam: { type: 'static', addresses } };
    const container = await trial.container({ config: trial.config({ ...ipam, ...config }) });
    const result = await container.add(args === undefined ? {} : { args });
    expect(addressesIn(result)).toEqual(expected);
  },
});

const refused = (name: string, ipam: object, versions: Case['versions'] = 'newest'): Case => ({
  id: `static-refuses-${name}`,
  covers: ['I1'],
  title: `refuses ${JSON.stringify(ipam)}`,
  applies: only('static'),
  versions,
  run: async (trial) => {
    const container = await trial.container({ config: trial.config({ ipam: { type: 'static', ...ipam } }) });
    expectError(await container.attempt('ADD'));
  },
});

/** What static hands out. */
export const staticScenarios: readonly Case[] = [
  {
    id: 'static-two-families',
    covers: ['R1', 'R5', 'R6'],
    title: 'hands out an address of each family with gateway, routes and dns, to whoever asks',
    applies: only('static'),
    run: async (trial) => {
      const routes = [
        { dst: '0.0.0.0/0' },
        { dst: '192.0.2.0/24', gw: '10.30.0.9' },
        { dst: '2001:db8::/32', gw: 'fd30::9' },
      ];
      const dns = { nameservers: ['10.30.0.53'], domain: 'd.test', search: ['s.test'], options: ['ndots:2'] };
      const addresses = [
        { address: '10.30.0.5/16', gateway: '10.30.0.1' },
        { address: 'fd30::5/64', gateway: 'fd30::1' },
      ];
      const config = trial.config({ ipam: { type: 'static', addresses, routes, dns } });
      const result = await (await trial.container({ config })).add();
      expect(addressesIn(result)).toEqual(addresses.map(({ address, gateway }) => [address, gateway]));
      const ofFamilies = [...(result.ip4?.routes ?? []), ...(result.ip6?.routes ?? [])];
      expect(result.routes ?? ofFamilies).toEqual(routes);
      expect(result.dns).toEqual(dns);
      expect(await (await trial.container({ config })).add()).toEqual(result);
    },
  },
  {
    id: 'static-several-of-a-family',
    covers: ['R5'],
    title: 'hands out several addresses of a family in their order',
    applies: only('static'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const addresses = ['fd30::5/64', '10.30.0.5/16', '192.0.2.5/32', 'fd31::5/128'].map((address) => ({
        address,
      }));
      const container = await trial.container({
        config: trial.config({ ipam: { type: 'static', addresses } }),
      });
      expect(addressesIn(await container.add()).map(([address]) => address)).toEqual(
        addresses.map(({ address }) => address),
      );
    },
  },
  source('from-environment', 'takes addresses and gateways of CNI_ARGS', { ...environment, addresses: [] }, [
    ['10.30.0.6/16', '10.30.0.9'],
    ['fd30::6/64', undefined],
  ]),
  source('from-args', 'takes addresses of args.cni.ips instead of its own', { config: inArgs }, [
    ['10.30.0.7/16', undefined],
    ['fd30::7/64', undefined],
  ]),
  source(
    'from-capability',
    'takes addresses of the capability instead of its own',
    { config: byCapability },
    [['10.30.0.8/16', undefined]],
  ),
  source(
    'from-all',
    'the capability has the last word',
    { ...environment, config: { ...inArgs, ...byCapability } },
    [['10.30.0.8/16', undefined]],
  ),
  source('from-args-first', 'args.cni.ips go before CNI_ARGS', { ...environment, config: inArgs }, [
    ['10.30.0.7/16', undefined],
    ['fd30::7/64', undefined],
  ]),
  refused('no-address', { addresses: [{ address: 'nonsense' }] }),
  refused('no-prefix', { addresses: [{ address: '10.30.0.5' }] }),
  refused('no-gateway', { addresses: [{ address: '10.30.0.5/16', gateway: 'nonsense' }] }),
  refused(
    'several-of-a-family',
    { addresses: [{ address: '10.30.0.5/16' }, { address: '10.30.0.6/16' }] },
    (version) => version === '0.1.0' || version === '0.2.0',
  ),
  {
    id: 'static-check',
    covers: ['C1'],
    title: 'CHECK accepts its own result, and refuses one with another gateway',
    applies: only('static'),
    versions: from('0.4.0'),
    run: async (trial) => {
      const container = await trial.container();
      const { ips = [], ...result } = await container.add();
      await container.check();
      const prevResult = { ...result, ips: ips.map((ip) => ({ ...ip, gateway: '10.30.0.99' })) };
      expectError(await container.attempt('CHECK', { config: { ...container.config, prevResult } }));
    },
  },
  {
    id: 'static-del-unconfigured',
    covers: ['D2'],
    title: 'DEL has nothing to do',
    applies: only('static'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const netns of [container.pod, '', '/run/netns/gone'])
        expectSilence(await container.attempt('DEL', { netns }));
    },
  },
];
