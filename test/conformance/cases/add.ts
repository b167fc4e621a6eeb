import { expect } from 'vitest';
import { expectResult, type PrintedResult } from '../../support/call-plugin.ts';
import { keptBridge, snapshot } from '../../support/snapshot.ts';
import {
  before,
  type Case,
  chainedPlugins,
  delegatingPlugins,
  every,
  interfacePlugins,
  ipamPlugins,
  only,
} from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError } from '../suite/expectations.ts';
import { FakeDelegate } from '../suite/fake-delegate.ts';
import { expectNothingLeft, usedHost } from '../suite/leftovers.ts';
import { linkOf } from '../suite/links.ts';
import { addressesOf } from '../suite/printed-result.ts';

/** The same address or the same port may be had but once; the others give each interface its own. */
const severalInterfaces = only(
  'bridge',
  'ptp',
  'vxlan',
  'host-local',
  'portmap',
  'bandwidth',
  'firewall',
  'tuning',
);

/** What ADD does. */
export const addCases: readonly Case[] = [
  {
    id: 'add-makes-what-it-reports',
    covers: ['A1', 'R5'],
    title: 'the interface is there, up, with the addresses, MAC and default route of the result',
    applies: interfacePlugins,
    run: async (trial) => {
      const container = await trial.container();
      const result = await container.add();
      expect(result.cniVersion).toBe(trial.version);
      await expectInForce(container, result);
      expect(await container.pod.exec(['ip', 'route', 'show', 'default'])).toContain('10.30.0.1');
    },
  },
  {
    id: 'add-dual-stack',
    covers: ['A1', 'R5'],
    title: 'an address of each family is reported and in force, and usable at once',
    applies: interfacePlugins,
    versions: 'newest',
    run: async (trial) => {
      const ranges = [[{ subnet: '10.30.0.0/16' }], [{ subnet: 'fd30::/64' }]];
      const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
      const container = await trial.container({ config: trial.ipamConfig({ ranges, routes }) });
      const result = await container.add();
      expect(addressesOf(result)).toHaveLength(2);
      await expectInForce(container, result);
      expect(await container.pod.exec(['ip', '-6', 'route', 'show', 'default'])).toContain('fd30::1');
      expect(await container.pod.exec(['ip', '-6', 'addr', 'show', 'tentative'])).not.toContain('fd30:');
    },
  },
  {
    id: 'add-brings-lo-up',
    covers: ['A1'],
    title: 'lo is up and has its addresses',
    applies: only('loopback'),
    run: async (trial) => {
      const container = await trial.container({ ifname: 'lo' });
      const result = await container.add();
      expect(result.cniVersion).toBe(trial.version);
      expect((await container.link())?.flags).toContain('UP');
      const addresses = await container.pod.addresses('lo');
      expect(addresses.map(({ local }) => local)).toContain('127.0.0.1');
    },
  },
  {
    id: 'add-reserves',
    covers: ['A1', 'R6'],
    title: 'the result has an address of the range, its gateway and routes, and no interface',
    applies: ipamPlugins,
    run: async (trial) => {
      const result = await (await trial.container()).add();
      expect(result.cniVersion).toBe(trial.version);
      const [first, ...more] = addressesOf(result);
      expect(first).toEqual({
        address: expect.stringMatching(/^10\.30\.\d+\.\d+\/16$/),
        gateway: '10.30.0.1',
      });
      expect(more).toEqual([]);
      expect(result.interfaces ?? []).toEqual([]);
      expect(result.ips?.filter((ip) => ip.interface !== undefined) ?? []).toEqual([]);
      const [route] = result.routes ?? result.ip4?.routes ?? [];
      expect(route).toMatchObject({ dst: '0.0.0.0/0' });
    },
  },
  {
    id: 'add-changes-something',
    covers: ['A1'],
    title: 'what the plugin is for is in force after ADD',
    applies: chainedPlugins,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const state = await snapshot(trial.host);
      await container.add();
      expect(await snapshot(trial.host)).not.toEqual(state);
    },
  },
  {
    id: 'add-passes-the-result-on',
    covers: ['A3', 'R2', 'R3'],
    title: "the earlier result comes back, in the version asked for, with the plugin's own changes alone",
    applies: chainedPlugins,
    run: async (trial) => {
      const container = await trial.container();
      const result = await container.add();
      expect(result.cniVersion).toBe(trial.version);
      expectPassedOn(container, result);
    },
  },
  {
    id: 'add-needs-a-result',
    covers: ['A3', 'I1'],
    title: 'without the result of an earlier plugin it is error 7',
    applies: chainedPlugins,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const { code, msg } = expectError(await container.attempt('ADD', { config: container.config }));
      expect(msg).toMatch(/prevResult|chain/i);
      expect(code).toBe(7);
    },
  },
  {
    id: 'add-of-an-existing-interface',
    covers: ['A2', 'P3'],
    title: 'an interface of that name is an error; it stays as it is, and nothing else is left',
    applies: interfacePlugins,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      await container.pod.shell(
        'ip link add eth0 type veth peer name other; ip addr add 192.0.2.1/24 dev eth0',
      );
      const state = await usedHost(trial);
      expectError(await container.attempt('ADD'));
      await expectNothingLeft(trial, state);
      expect(await container.pod.addresses('eth0')).toHaveLength(1);
      expect((await container.link())?.linkinfo?.info_kind).toBe('veth');
    },
  },
  {
    id: 'second-interface',
    covers: ['A4'],
    title: 'a container gets a second interface, and keeps it when the first is deleted',
    applies: severalInterfaces,
    versions: 'newest',
    run: async (trial) => {
      const first = await trial.container();
      const second = await trial.container({ beside: first, ifname: 'net1' });
      await first.add();
      await second.add();
      expect(second.addresses).not.toEqual(first.addresses);
      if (trial.profile.role === 'interface') {
        await expectInForce(first, first.result);
        await expectInForce(second, second.result);
      }
      await first.del();
      if (trial.profile.role === 'interface') {
        await expectInForce(second, second.result);
        expect(await first.link()).toBeUndefined();
      }
      if (!before('0.4.0')(trial.version)) await second.check();
      await second.del();
    },
  },
  {
    id: 'second-interface-of-another-network',
    covers: ['A4'],
    title: 'a container may be in two networks',
    applies: interfacePlugins,
    versions: 'newest',
    run: async (trial) => {
      const first = await trial.container();
      const { ipam } = trial.ipamConfig({ ranges: [[{ subnet: '10.31.0.0/16' }]], routes: [] });
      const bridge = trial.profile.type === 'bridge' ? { bridge: 'cni1' } : {};
      const config = trial.config({ name: 'others', ipam, ...bridge });
      const second = await trial.container({ beside: first, ifname: 'net1', config });
      await first.add();
      await second.add();
      await expectInForce(first, first.result);
      await expectInForce(second, second.result);
      await second.del();
      await expectInForce(first, first.result);
      await first.del();
    },
  },
  {
    id: 'parallel-adds',
    covers: ['A5'],
    title: 'containers are added and deleted at once: each has its own address, and nothing is left',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const containers = await trial.containers(8);
      const state = await usedHost(trial);
      const results = await Promise.all(containers.map((container) => container.add()));
      if (trial.profile.role === 'interface' || trial.profile.type === 'host-local') {
        expect(new Set(containers.flatMap(({ addresses }) => addresses)).size).toBe(containers.length);
      }
      if (trial.profile.role === 'interface') {
        for (const [index, container] of containers.entries()) await expectInForce(container, results[index]);
      }
      await Promise.all(containers.map((container) => container.del()));
      await expectNothingLeft(trial, state);
    },
  },
  {
    id: 'add-with-a-failing-delegate',
    covers: ['A6', 'L4'],
    title: "the delegate's error comes back with its code, and nothing of the plugin's is left",
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const container = await trial.container({ config: delegate.config });
      const state = await snapshot(trial.host);
      await delegate.on('ADD', delegate.failure(102, 'no address today'));
      const error = expectError(await container.attempt('ADD', delegate), 102);
      expect(error.msg).toContain('no address today');
      await expectNothingLeft(trial, state, [...keptBridge('cni0'), /^file \/run\/delegates/]);
    },
  },
  {
    id: 'delegate-del-after-failure',
    covers: ['A6'],
    title: 'when the delegate fails, its DEL is called before the error is returned',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const container = await trial.container({ config: delegate.config });
      await delegate.on('ADD', delegate.failure(102, 'no address today'));
      expectError(await container.attempt('ADD', delegate));
      expect(delegate.verbs()).toEqual(['ADD', 'DEL']);
    },
  },
  {
    id: 'add-again-after-del',
    covers: ['A1', 'D1'],
    title: 'a container that was deleted can be added again under the same id',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      await container.del();
      const again =
        trial.profile.role === 'chained' ? await trial.container({ id: container.id }) : container;
      expectResult(await again.attempt('ADD'));
      await again.del();
    },
  },
];

/** Fails unless the kernel has what a result says of the container's interface. */
export const expectInForce = async (
  container: Container,
  result: PrintedResult | undefined,
): Promise<void> => {
  const { trial, pod, ifname } = container;
  if (result === undefined) throw new Error('no result');
  const link = await container.link();
  expect(link?.flags).toContain('UP');
  const inForce = (await pod.addresses(ifname)).map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  const reported = addressesOf(result).map(({ address }) => address);
  expect(reported.length).toBeGreaterThan(0);
  expect(inForce).toEqual(expect.arrayContaining(reported));
  if (before('0.3.0')(trial.version)) return;
  const interfaces = result.interfaces ?? [];
  const index = interfaces.findIndex(({ sandbox }) => sandbox === pod.netns);
  expect(interfaces[index]).toMatchObject({ name: ifname, mac: link?.address });
  expect(result.ips?.map((ip) => ip.interface)).toEqual(reported.map(() => index));
  for (const { name, mac, sandbox } of interfaces.toSpliced(index, 1)) {
    expect(sandbox ?? '').toBe('');
    if (mac !== undefined) expect((await linkOf(trial.host, name))?.address).toBe(mac);
  }
};

/** Fails unless a result is the earlier one but for MACs and MTUs, and interfaces at the end. */
const expectPassedOn = ({ earlier, trial }: Container, result: PrintedResult): void => {
  const { interfaces = [], ips, ip4, routes } = earlier ?? { cniVersion: '' };
  if (before('0.3.0')(trial.version)) {
    expect(result.ip4).toEqual(ip4);
    return;
  }
  expect(result.ips).toEqual(ips);
  expect(result.routes).toEqual(routes);
  const place = ({ name, sandbox = '' }: { name: string; sandbox?: string }) => ({ name, sandbox });
  expect(result.interfaces?.slice(0, interfaces.length).map(place)).toEqual(interfaces.map(place));
  if (trial.profile.type === 'tuning') return;
  expect(result.interfaces?.slice(0, interfaces.length).map(({ mac }) => mac)).toEqual(
    interfaces.map(({ mac }) => mac),
  );
};
