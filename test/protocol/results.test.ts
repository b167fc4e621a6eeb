import { afterAll, beforeAll, expect, test } from 'vitest';
import { newContainerId, type PrintedResult } from '../support/call-plugin.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, layer2, networks } from './calls.ts';

const legacy = ['0.1.0', '0.2.0'];
const middle = ['0.3.0', '0.3.1', '0.4.0'];
const modern = ['1.0.0', '1.1.0'];
const macPattern = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;

let host: TestHost;
beforeAll(async () => {
  host = await createPluginHost('results');
});
afterAll(() => host.dispose());

const dualStack = (subnet: number) => ({
  type: 'host-local',
  ranges: [[{ subnet: `10.${subnet}.0.0/16` }], [{ subnet: `fd${subnet}::/64` }]],
  routes: [
    { dst: '0.0.0.0/0' },
    { dst: '10.99.0.0/16', gw: `10.${subnet}.0.1`, mtu: 1400, priority: 7 },
    { dst: '::/0' },
  ],
});

/** ADD in a pod of its own, CHECK and DEL with its result; DEL must leave nothing. */
const roundTrip = async (
  row: { plugin: string; cniVersion: string; config: object },
  look: (result: PrintedResult, netns: string) => void,
): Promise<void> => {
  const pod = await host.addPod(newContainerId(row.plugin));
  const { name } = pod;
  const config = { ...row.config, cniVersion: row.cniVersion };
  const container = { plugin: row.plugin, containerId: name, netns: pod };
  const added = await call(host, { ...container, config });
  expectSilent(added);
  if (added.result === undefined) throw new Error('no result');
  expect(added.stdout.trim().startsWith('{') && added.stdout.trim().endsWith('}')).toBe(true);
  expect(added.result.cniVersion).toBe(row.cniVersion);
  look(added.result, pod.netns);
  const later = { ...config, prevResult: added.result };
  if ([...modern, '0.4.0'].includes(row.cniVersion)) {
    const checked = await call(host, { ...container, config: later, command: 'CHECK' });
    expectSilent(checked);
    expect(checked.stdout).toBe('');
  }
  const deleted = await call(host, { ...container, config: later, command: 'DEL' });
  expectSilent(deleted);
  expect(deleted.stdout).toBe('');
  await pod.remove();
};

const rowsOf = (plugins: Record<string, object>, versions: string[]) =>
  Object.entries(plugins).flatMap(([plugin, config]) =>
    versions.map((cniVersion) => ({ plugin, cniVersion, config })),
  );
const titleOf = ({ plugin, cniVersion }: { plugin: string; cniVersion: string }) => `${plugin} ${cniVersion}`;

const attached = {
  bridge: { ...networks.bridge, ipam: dualStack(40) },
  veth: { ...networks.veth, ipam: dualStack(41) },
};
const reserved = {
  'host-local': { ...networks['host-local'], ipam: dualStack(42) },
  static: networks.static,
};

test('up to 0.2.0: one address of each family, with the routes of that family, and dns', async () => {
  await forAll(rowsOf(attached, legacy), titleOf, (row) =>
    roundTrip(row, (result) => {
      expect(Object.keys(result).sort()).toEqual(['cniVersion', 'dns', 'ip4', 'ip6']);
      const gateway = row.plugin === 'veth' ? '10.41.0.1' : '10.40.0.1';
      expect(result.ip4?.ip).toMatch(/^10\.4[01]\.\d+\.\d+\/16$/);
      expect(result.ip4?.gateway).toBe(gateway);
      expect(result.ip4?.routes).toEqual([{ dst: '0.0.0.0/0' }, { dst: '10.99.0.0/16', gw: gateway }]);
      expect(result.ip6?.ip).toMatch(/^fd4[01]::[0-9a-f]+\/64$/);
      expect(result.ip6?.routes).toEqual([{ dst: '::/0' }]);
      expect(result.dns).toEqual({});
    }),
  );
});

test('0.3.0 to 0.4.0: interfaces, addresses with their version, plain routes, and dns', async () => {
  await forAll(rowsOf(attached, middle), titleOf, (row) =>
    roundTrip(row, (result) => {
      expect(Object.keys(result).sort()).toEqual(['cniVersion', 'dns', 'interfaces', 'ips', 'routes']);
      for (const entry of result.interfaces ?? []) {
        expect(Object.keys(entry).filter((key) => !['name', 'mac', 'sandbox'].includes(key))).toEqual([]);
        expect(entry.mac).toMatch(macPattern);
      }
      expect(result.ips?.map(({ version }) => version)).toEqual(['4', '6']);
      expect(result.routes?.find(({ dst }) => dst === '10.99.0.0/16')).toEqual({
        dst: '10.99.0.0/16',
        gw: expect.stringMatching(/^10\.4[01]\.0\.1$/),
      });
      expect(result.dns).toEqual({});
    }),
  );
});

test('from 1.0.0: no version, no empty dns, routes with their attributes; MTU from 1.1.0', async () => {
  await forAll(rowsOf(attached, modern), titleOf, (row) =>
    roundTrip(row, (result) => {
      expect(Object.keys(result).sort()).toEqual(['cniVersion', 'interfaces', 'ips', 'routes']);
      expect(result.ips?.map(({ version }) => version)).toEqual([undefined, undefined]);
      expect(result.routes).toContainEqual(
        expect.objectContaining({ dst: '10.99.0.0/16', mtu: 1400, priority: 7 }),
      );
      const mtus = (result.interfaces ?? []).map(({ mtu }) => mtu);
      expect(mtus.every((mtu) => mtu === (row.cniVersion === '1.1.0' ? 1500 : undefined))).toBe(true);
    }),
  );
});

test('an IPAM result has addresses, routes and dns, and no interfaces', async () => {
  await forAll(rowsOf(reserved, [...legacy, ...middle, ...modern]), titleOf, (row) =>
    roundTrip(row, (result) => {
      expect(result.interfaces).toBeUndefined();
      expect(result.ips?.some((ip) => ip.interface !== undefined) ?? false).toBe(false);
      expect('dns' in result).toBe(!modern.includes(row.cniVersion));
      expect((result.ips ?? result.ip4) === undefined).toBe(false);
    }),
  );
});

test('loopback reports lo from 0.3.0 on', async () => {
  await forAll(rowsOf({ loopback: networks.loopback }, [...middle, ...modern]), titleOf, (row) =>
    roundTrip(row, (result) => {
      expect(result.interfaces?.map(({ name }) => name)).toEqual(['lo']);
      expect(result.ips?.map(({ address }) => address)).toContain('127.0.0.1/8');
    }),
  );
});

test('a result without addresses is an error up to 0.2.0, and nothing is left', async () => {
  const pod = await host.addPod('no-address');
  const before = await snapshot(host);
  for (const cniVersion of legacy) {
    const outcome = await call(host, { plugin: 'bridge', config: { ...layer2, cniVersion }, netns: pod });
    expectError(outcome, 7, `"${cniVersion}"`);
  }
  expect(leftovers(before, await snapshot(host), [/ cni2( |$)/])).toEqual(nothing);
});
