import { expect } from 'vitest';
import { addressesOf, linkOf, reservations } from '../../plugins/kernel-state.ts';
import { ping } from '../../support/traffic.ts';
import { type Case, from, oldAndNew, only } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';
import type { NetworkConfig, Trial } from '../suite/trial.ts';

const twoFamilies = { ranges: [[{ subnet: '10.30.0.0/16' }], [{ subnet: 'fd30::/64' }]], routes: undefined };

const withIpv6 = (trial: Trial, changes: Record<string, unknown> = {}): NetworkConfig => ({
  ...trial.ipamConfig(twoFamilies),
  ipMasq: false,
  ...changes,
});

/** A scenario in which the bridge has an address before ADD. */
const addressScenario = (
  name: string,
  title: string,
  has: string,
  expected: { fails: true } | { fails: false; bridge: string[] },
  changes: Record<string, unknown> = {},
): Case => ({
  id: `bridge-address-${name}`,
  covers: expected.fails ? ['L5'] : [],
  title,
  applies: only('bridge'),
  versions: 'newest',
  run: async (trial) => {
    await trial.host.shell(`ip link add cni0 up type bridge; ip addr add ${has} dev cni0 nodad`);
    const container = await trial.container({ config: withIpv6(trial, changes) });
    if (!expected.fails) {
      await container.add();
      expect((await addressesOf(trial.host, 'cni0')).toSorted()).toEqual(expected.bridge);
      return;
    }
    expectError(await container.attempt('ADD'));
    expect((await addressesOf(trial.host, 'cni0')).filter((address) => address === has)).toEqual([has]);
    expect(await reservations(trial.host, 'pods')).toEqual([]);
    await container.del();
  },
});

/** What bridge does with the bridge itself. */
export const bridgeDeviceScenarios: readonly Case[] = [
  {
    id: 'bridge-create',
    covers: ['A1'],
    title: 'makes the bridge that it is told, and plugs the container in',
    applies: only('bridge'),
    versions: oldAndNew('0.3.0'),
    run: async (trial) => {
      const config = trial.config({ bridge: 'br7', ipMasq: false });
      const container = await trial.container({ config });
      const { interfaces = [] } = await container.add();
      const bridge = await linkOf(trial.host, 'br7');
      expect(bridge).toMatchObject({ linkinfo: { info_kind: 'bridge' } });
      expect(bridge.flags).toContain('UP');
      expect(interfaces[0]).toMatchObject({ name: 'br7', mac: bridge.address });
      const port = await linkOf(trial.host, interfaces[1]?.name ?? '');
      expect(port).toMatchObject({ master: 'br7', address: interfaces[1]?.mac });
      expect(port.flags).toContain('LOWER_UP');
      expect(await addressesOf(trial.host, 'br7')).toEqual(['10.30.0.1/16']);
      expect(await ping(container.pod, '10.30.0.1')).toBe(true);
      await container.del();
      expect((await linkOf(trial.host, 'br7')).ifindex).toBe(bridge.ifindex);
    },
  },
  {
    id: 'bridge-default-name',
    covers: [],
    title: 'calls it cni0 unless told',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ bridge: undefined }) });
      await container.add();
      expect((await linkOf(trial.host, 'cni0')).linkinfo?.info_kind).toBe('bridge');
    },
  },
  {
    id: 'bridge-reuse',
    covers: [],
    title: 'takes a bridge as it is, with the address that it has',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      await trial.host.shell(
        'ip link add cni0 type bridge; ip link set cni0 mtu 1300; ip addr add 10.30.0.1/16 dev cni0',
      );
      const { ifindex } = await linkOf(trial.host, 'cni0');
      const container = await trial.container({ config: withIpv6(trial) });
      await container.add();
      const bridge = await linkOf(trial.host, 'cni0');
      expect(bridge).toMatchObject({ ifindex, mtu: 1300 });
      expect(bridge.flags).toContain('UP');
      expect(await addressesOf(trial.host, 'cni0')).toEqual(['10.30.0.1/16', 'fd30::1/64']);
      for (const address of ['10.30.0.1', 'fd30::1']) expect(await ping(container.pod, address)).toBe(true);
    },
  },
  {
    id: 'bridge-not-a-bridge',
    covers: [],
    title: 'refuses an interface of that name that is no bridge',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      await trial.host.exec(['ip', 'link', 'add', 'cni0', 'type', 'veth', 'peer', 'name', 'other']);
      const container = await trial.container();
      expect(expectError(await container.attempt('ADD')).msg).toContain('cni0');
      expect(await reservations(trial.host, 'pods')).toEqual([]);
      expect((await linkOf(trial.host, 'cni0')).linkinfo?.info_kind).toBe('veth');
    },
  },
  {
    id: 'bridge-mtu',
    covers: [],
    title: 'gives bridge and both ends the MTU',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ mtu: 1400 }) });
      const { interfaces } = await container.add();
      const links = [
        await linkOf(trial.host, 'cni0'),
        await linkOf(trial.host, interfaces?.[1]?.name ?? ''),
        await linkOf(container.pod, 'eth0'),
      ];
      expect(links.map(({ mtu }) => mtu)).toEqual([1400, 1400, 1400]);
      if (from('1.1.0')(trial.version)) expect(interfaces?.map(({ mtu }) => mtu)).toEqual([1400, 1400, 1400]);
    },
  },
  {
    id: 'bridge-promisc',
    covers: ['C3'],
    title: 'promiscMode makes the bridge promiscuous, and CHECK sees when it is not',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ promiscMode: true }) });
      await container.add();
      expect((await linkOf(trial.host, 'cni0')).flags).toContain('PROMISC');
      await container.check();
      await trial.host.exec(['ip', 'link', 'set', 'cni0', 'promisc', 'off']);
      expectError(await container.attempt('CHECK'));
    },
  },
  {
    id: 'bridge-stable-mac',
    covers: [],
    title: 'the bridge keeps its MAC as ports come and go',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const first = await trial.container();
      const second = await trial.container();
      const { interfaces } = await first.add();
      const { address: mac } = await linkOf(trial.host, 'cni0');
      expect(interfaces?.[0]?.mac).toBe(mac);
      // A bridge that has none of its own takes that of the lowest of its ports.
      await trial.host.shell(
        'ip link add low address 00:00:00:00:00:01 master cni0 type veth peer name low1',
      );
      await second.add();
      expect((await linkOf(trial.host, 'cni0')).address).toBe(mac);
      await trial.host.exec(['ip', 'link', 'del', 'low']);
      await first.del();
      expect((await linkOf(trial.host, 'cni0')).address).toBe(mac);
      await second.check();
    },
  },
  addressScenario('conflict', 'another IPv4 address of the bridge is an error', '10.30.9.9/16', {
    fails: true,
  }),
  addressScenario(
    'forced',
    'forceAddress replaces another IPv4 address',
    '10.99.0.1/16',
    { fails: false, bridge: ['10.30.0.1/16', 'fd30::1/64'] },
    { forceAddress: true },
  ),
  addressScenario('conflict-ipv6', 'an IPv6 address of the same subnet is an error', 'fd30::ffff/64', {
    fails: true,
  }),
  addressScenario(
    'forced-ipv6',
    'forceAddress replaces an IPv6 address of the same subnet',
    'fd30::ffff/64',
    { fails: false, bridge: ['10.30.0.1/16', 'fd30::1/64'] },
    { forceAddress: true },
  ),
  addressScenario('beside-ipv6', 'an IPv6 address of another subnet stays', 'fd99::1/64', {
    fails: false,
    bridge: ['10.30.0.1/16', 'fd30::1/64', 'fd99::1/64'],
  }),
];
