import { expect } from 'vitest';
import { expectResult, type PrintedResult } from '../../support/call-plugin.ts';
import { snapshot } from '../../support/snapshot.ts';
import { before, type Case, chainedPlugins, delegatingPlugins, every, from, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { FakeDelegate } from '../suite/fake-delegate.ts';
import { addressesOf, resultIn } from '../suite/printed-result.ts';
import type { Profile } from '../suite/profiles.ts';

const notChained = ({ role }: Profile): boolean => role !== 'chained';

const keysOf = (entries: readonly object[] | undefined): string[] => [
  ...new Set((entries ?? []).flatMap((entry) => Object.keys(entry))),
];

/** The shape of results, and what is understood of those of others. */
export const resultCases: readonly Case[] = [
  {
    id: 'result-before-0.3.0',
    covers: ['R1'],
    title: 'one address of each family under ip4 and ip6, with the routes of that family',
    applies: only('host-local', 'bridge', 'ptp', 'vxlan'),
    versions: before('0.3.0'),
    run: async (trial) => {
      const ranges = ['10.30.0.0/16', 'fd30::/64'].map((subnet) => [{ subnet }]);
      const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
      const config = trial.ipamConfig({ ranges, routes });
      const result = await (await trial.container({ config })).add();
      expect(Object.keys(result).filter((key) => !['cniVersion', 'ip4', 'ip6', 'dns'].includes(key))).toEqual(
        [],
      );
      expect(result.ip4?.ip).toMatch(/^10\.30\..*\/16$/);
      expect(result.ip4?.routes?.map(({ dst }) => dst)).toEqual(['0.0.0.0/0']);
      expect(result.ip6?.ip).toMatch(/^fd30::.*\/64$/);
      expect(result.ip6?.routes?.map(({ dst }) => dst)).toEqual(['::/0']);
    },
  },
  {
    id: 'first-address-before-0.3.0',
    covers: ['R1'],
    title: 'of several addresses of a family the first is reported',
    applies: delegatingPlugins,
    versions: before('0.3.0'),
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const ips = ['10.77.0', '10.78.0'].map((net) => ({
        version: '4',
        address: `${net}.5/24`,
        gateway: `${net}.1`,
      }));
      await delegate.on('ADD', delegate.answer({ cniVersion: '0.3.1', ips, routes: [], dns: {} }));
      // A bridge may have but one address of the family, a pair of gateways would be in its way.
      const container = await trial.container({ config: { ...delegate.config, isGateway: false } });
      const result = await container.add({ path: delegate.path });
      expect(addressesOf(result)).toEqual([{ address: '10.77.0.5/24', gateway: '10.77.0.1' }]);
    },
  },
  {
    id: 'no-result-before-0.3.0',
    covers: ['R1', 'P3'],
    title: 'a result without an address is an error, since the version has no shape for it',
    applies: only('bridge'),
    versions: before('0.3.0'),
    run: async (trial) => {
      const config = trial.config({ ipam: undefined, isGateway: false, ipMasq: false });
      const container = await trial.container({ config });
      expectError(await container.attempt('ADD'));
      await container.del();
    },
  },
  {
    id: 'no-later-keys',
    covers: ['R1', 'R3'],
    title: 'a result has the keys of its version alone',
    applies: notChained,
    run: async (trial) => {
      const routes = [{ dst: '0.0.0.0/0', mtu: 1400, advmss: 1300, priority: 5 }];
      const config = trial.profile.config.ipam === undefined ? trial.config() : trial.ipamConfig({ routes });
      const result = await (await trial.container({ config, ifname: ifnameOf(trial.profile) })).add();
      if (before('0.3.0')(trial.version)) return expectLegacyKeys(result);
      const { interfaces, ips, routes: printed } = result;
      const families = ips?.map(({ address }) => (address.includes(':') ? '6' : '4'));
      if (before('1.0.0')(trial.version)) {
        expect(ips?.map(({ version }) => version)).toEqual(families);
        expect(keysOf(printed).filter((key) => !['dst', 'gw'].includes(key))).toEqual([]);
        expect(keysOf(interfaces).filter((key) => !['name', 'mac', 'sandbox'].includes(key))).toEqual([]);
      } else {
        expect(keysOf(ips)).not.toContain('version');
      }
    },
  },
  {
    id: 'earlier-result-before-0.3.0',
    covers: ['R2'],
    title: 'a prevResult of ip4 and ip6 is understood: the work is done, and it comes back as it was',
    applies: chainedPlugins,
    versions: before('0.3.0'),
    run: async (trial) => {
      const container = await trial.container();
      const state = await snapshot(trial.host);
      const { ip4 } = await container.add();
      expect(ip4).toEqual(container.earlier?.ip4);
      expect(await snapshot(trial.host)).not.toEqual(state);
      await container.del();
    },
  },
  {
    id: 'delegate-of-0.2.0',
    covers: ['R2'],
    title: "a delegate's result of 0.2.0 is understood",
    applies: delegatingPlugins,
    versions: from('0.3.0'),
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const plain = { address: '10.77.0.5/24', gateway: '10.77.0.1' };
      await delegate.on('ADD', delegate.answer(resultIn('0.2.0', plain)));
      const { config, path } = delegate;
      const container = await trial.container({ config });
      const result = await container.add({ path });
      expect(addressesOf(result)).toEqual([plain]);
      expect(result.routes?.map(({ dst }) => dst)).toEqual(['0.0.0.0/0']);
      expect(await container.pod.exec(['ip', 'route', 'show', 'default'])).toContain('10.77.0.1');
    },
  },
  {
    id: 'prev-result-without-version',
    covers: ['R4'],
    title: "a prevResult without cniVersion is read in the configuration's version",
    applies: every,
    versions: from('0.4.0'),
    run: async (trial) => {
      const container = await trial.container({ ifname: ifnameOf(trial.profile) });
      const without = ({ cniVersion: _, ...rest }: PrintedResult) => ({ prevResult: rest });
      const { config, earlier } = container;
      const before = earlier === undefined ? {} : without(earlier);
      const added = expectResult(await container.attempt('ADD', { config: { ...config, ...before } }));
      expect(added.cniVersion).toBe(trial.version);
      const later = { config: { ...config, ...without(added) } };
      if (trial.profile.type !== 'portmap') expectSilence(await container.attempt('CHECK', later));
      expectSilence(await container.attempt('DEL', later));
    },
  },
];

const ifnameOf = ({ role }: Profile): string => (role === 'loopback' ? 'lo' : 'eth0');

const expectLegacyKeys = ({ cniVersion: _, ip4, ip6, dns, ...more }: PrintedResult): void => {
  expect(Object.keys(more)).toEqual([]);
  const families = [ip4, ip6].filter((family) => family !== undefined);
  expect(keysOf(families).filter((key) => !['ip', 'gateway', 'routes'].includes(key))).toEqual([]);
  const routes = families.flatMap((family) => family.routes ?? []);
  expect(keysOf(routes).filter((key) => !['dst', 'gw'].includes(key))).toEqual([]);
  expect(keysOf(dns === undefined ? [] : [dns])).toEqual([]);
};
