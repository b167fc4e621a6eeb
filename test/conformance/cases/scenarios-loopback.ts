import { expect } from 'vitest';
import { linkOf } from '../../plugins/kernel-state.ts';
import type { Pod } from '../../support/pod.ts';
import { ping } from '../../support/traffic.ts';
import { before, type Case, from, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';

const isUp = async (pod: Pod): Promise<boolean> => (await linkOf(pod, 'lo')).flags.includes('UP');

/** What loopback does. */
export const loopbackScenarios: readonly Case[] = [
  {
    id: 'loopback-up-and-down',
    covers: ['A1', 'C4', 'D1'],
    title: 'ADD puts lo up, with both addresses; DEL puts it down',
    applies: only('loopback'),
    run: async (trial) => {
      const container = await trial.container({ ifname: 'lo' });
      expect(await isUp(container.pod)).toBe(false);
      await container.add();
      expect(await isUp(container.pod)).toBe(true);
      for (const address of ['127.0.0.1', '::1']) expect(await ping(container.pod, address)).toBe(true);
      if (from('0.4.0')(trial.version)) await container.check();
      await container.del();
      expect(await isUp(container.pod)).toBe(false);
      await container.del();
    },
  },
  {
    id: 'loopback-result',
    covers: ['A1', 'R3', 'R5'],
    title: 'reports lo and its addresses',
    applies: only('loopback'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const container = await trial.container({ ifname: 'lo' });
      const { interfaces, ips } = await container.add();
      const sandbox = container.pod.netns;
      expect(interfaces).toEqual([
        expect.objectContaining({ name: 'lo', mac: '00:00:00:00:00:00', sandbox }),
      ]);
      const version = (family: '4' | '6') => (before('1.0.0')(trial.version) ? { version: family } : {});
      expect(ips).toEqual([
        { ...version('4'), interface: 0, address: '127.0.0.1/8' },
        { ...version('6'), interface: 0, address: '::1/128' },
      ]);
    },
  },
  {
    id: 'loopback-result-old',
    covers: ['R1'],
    title: 'reports the addresses in the old shape',
    applies: only('loopback'),
    versions: before('0.3.0'),
    run: async (trial) => {
      const container = await trial.container({ ifname: 'lo' });
      const { ip4, ip6 } = await container.add();
      expect([ip4?.ip, ip6?.ip]).toEqual(['127.0.0.1/8', '::1/128']);
    },
  },
  {
    id: 'loopback-any-ifname',
    covers: [],
    title: 'is about lo, whatever CNI_IFNAME says',
    applies: only('loopback'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ ifname: 'eth0' });
      await container.pod.exec(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1']);
      const { interfaces } = await container.add();
      expect(interfaces?.map(({ name }) => name)).toEqual(['lo']);
      expect((await linkOf(container.pod, 'eth0')).flags).not.toContain('UP');
    },
  },
  {
    id: 'loopback-passes-on',
    covers: ['A3', 'R4'],
    title: 'passes on what an earlier plugin has made',
    applies: only('loopback'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const container = await trial.container({ ifname: 'lo' });
      const family = before('1.0.0')(trial.version) ? { version: '4' } : {};
      const prevResult = {
        cniVersion: trial.version,
        interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: container.pod.netns }],
        ips: [{ ...family, address: '10.30.0.2/16', gateway: '10.30.0.1', interface: 0 }],
        routes: [{ dst: '0.0.0.0/0', gw: '10.30.0.1' }],
        dns: { nameservers: ['10.30.0.53'] },
      };
      expect(await container.add({ config: { ...container.config, prevResult } })).toEqual(prevResult);
      expect(await isUp(container.pod)).toBe(true);
    },
  },
  {
    id: 'loopback-check',
    covers: ['C1'],
    title: 'CHECK sees that lo is down',
    applies: only('loopback'),
    versions: from('0.4.0'),
    run: async (trial) => {
      const container = await trial.container({ ifname: 'lo' });
      await container.add();
      await container.check();
      await container.pod.exec(['ip', 'link', 'set', 'lo', 'down']);
      expectError(await container.attempt('CHECK'));
    },
  },
  {
    id: 'loopback-del-unconfigured',
    covers: ['D2', 'D3'],
    title: 'DEL of what was never added is done: with a netns, without, and with one that is gone',
    applies: only('loopback'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ ifname: 'lo' });
      for (const netns of [container.pod, '', '/run/netns/gone'])
        expectSilence(await container.attempt('DEL', { netns }));
    },
  },
];
