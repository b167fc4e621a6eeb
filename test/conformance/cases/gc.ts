import { expect } from 'vitest';
import { leftovers, nothing, snapshot } from '../../support/snapshot.ts';
import { type Case, delegatingPlugins, every, from, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { FakeDelegate } from '../suite/fake-delegate.ts';
import { expectNothingLeft, usedHost } from '../suite/leftovers.ts';
import { linkOf } from '../suite/links.ts';
import type { Profile } from '../suite/profiles.ts';
import type { Trial } from '../suite/trial.ts';

const versions = from('1.1.0');

/** Those that keep something outside of the container's netns. */
const keepers = ({ type }: Profile): boolean => !['loopback', 'static', 'sbr'].includes(type);

/** A container that stays, two that go, and the state with the first alone. */
const threeContainers = async (trial: Trial) => {
  const stale = await trial.containers(2);
  const kept = await trial.container();
  await usedHost(trial);
  await kept.add();
  const state = await snapshot(trial.host);
  for (const container of stale) await container.add();
  return { kept, stale, state };
};

// What a plugin has changed in a netns that lives, beyond making an interface, goes with that netns.
const insideOf = (trial: Trial, containers: readonly Container[]): RegExp[] =>
  trial.profile.role !== 'interface' ? containers.map(({ pod }) => new RegExp(`^netns ${pod.name}: `)) : [];

/** What GC does. */
export const gcCases: readonly Case[] = [
  {
    id: 'gc-frees-the-rest',
    covers: ['G1', 'G3'],
    title: 'GC frees all but the attachments that it is given, and prints nothing',
    applies: every,
    versions,
    run: async (trial) => {
      const { kept, stale, state } = await threeContainers(trial);
      expectSilence(await trial.callNetwork('GC', trial.config(), [kept]));
      await expectNothingLeft(trial, state, insideOf(trial, stale));
      await kept.check();
      for (const container of stale) await container.del();
      await kept.del();
    },
  },
  {
    id: 'gc-after-netns-gone',
    covers: ['G1'],
    title: 'GC frees what containers have left whose netns is gone',
    applies: keepers,
    versions,
    run: async (trial) => {
      const { kept, stale, state } = await threeContainers(trial);
      for (const { pod } of stale) await pod.remove();
      expectSilence(await trial.callNetwork('GC', trial.config(), [kept]));
      await expectNothingLeft(trial, state);
      await kept.check();
    },
  },
  {
    id: 'gc-of-one-interface',
    covers: ['G1'],
    title: 'GC tells the interfaces of one container apart',
    applies: only('bridge', 'ptp', 'vxlan', 'host-local', 'portmap', 'firewall', 'bandwidth', 'tuning'),
    versions,
    run: async (trial) => {
      const first = await trial.container();
      const second = await trial.container({ beside: first, ifname: 'net1' });
      await second.add();
      const state = await snapshot(trial.host);
      await first.add();
      expectSilence(await trial.callNetwork('GC', trial.config(), [second]));
      await expectNothingLeft(trial, state, insideOf(trial, [first]));
      await second.check();
    },
  },
  {
    id: 'gc-reaches-the-delegate',
    covers: ['G2', 'L4'],
    title: 'GC is delegated with the list',
    applies: delegatingPlugins,
    versions,
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const list = [{ containerID: 'some', ifname: 'eth0' }];
      const config = { ...delegate.config, 'cni.dev/valid-attachments': list };
      expectSilence(await trial.call('GC', { config, path: delegate.path }));
      const calls = delegate.calls();
      expect(calls.map(({ command }) => command)).toEqual(['GC']);
      expect(JSON.parse(calls[0]?.stdin ?? '')).toMatchObject({ 'cni.dev/valid-attachments': list });
    },
  },
  {
    id: 'gc-with-a-failing-delegate',
    covers: ['G3', 'L4'],
    title: "when the delegate fails, the plugin's own work is freed all the same, and the error comes back",
    applies: delegatingPlugins,
    versions,
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { path } = delegate;
      const container = await trial.container({ config: delegate.config });
      await container.add({ path });
      await delegate.on('GC', delegate.failure(79, 'cannot collect'));
      const config = { ...delegate.config, 'cni.dev/valid-attachments': [] };
      expect(expectError(await trial.call('GC', { config, path }), 79).msg).toContain('cannot collect');
      expect(await linkOf(container.pod, container.ifname)).toBeUndefined();
    },
  },
  {
    id: 'gc-goes-on-after-a-failure',
    covers: ['G3'],
    title: 'an address file that cannot be removed is reported, and the others are removed',
    applies: only('host-local'),
    versions,
    run: async (trial) => {
      const containers = await trial.containers(3);
      for (const container of containers) await container.add();
      const files = containers.map(({ addresses }) => `/var/lib/cni/networks/pods/${addresses[0]}`);
      // The target of a mount cannot be unlinked.
      await trial.host.shell(`mount --bind ${files[1]} ${files[1]}`);
      expectError(await trial.callNetwork('GC', trial.config(), []));
      const left = await trial.host.shell(`ls -d ${files.join(' ')} 2>/dev/null || true`);
      expect(left.trim()).toBe(files[1]);
    },
  },
  {
    id: 'gc-without-a-list',
    covers: ['G4'],
    title: 'GC without the list, or with null, frees nothing',
    applies: every,
    versions,
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      const state = await snapshot(trial.host);
      for (const list of [{}, { 'cni.dev/valid-attachments': null }]) {
        const outcome = await trial.call('GC', { config: { ...trial.config(), ...list } });
        if (outcome.exitCode !== 0) expectError(outcome, 7);
        expect(leftovers(state, await snapshot(trial.host))).toEqual(nothing);
      }
      await container.check();
    },
  },
  {
    id: 'gc-with-an-empty-list',
    covers: ['G4', 'G1'],
    title: 'GC with an empty list frees everything',
    applies: every,
    versions,
    run: async (trial) => {
      const containers = await trial.containers(2);
      const state = await usedHost(trial);
      for (const container of containers) await container.add();
      expectSilence(await trial.callNetwork('GC', trial.config(), []));
      await expectNothingLeft(trial, state, insideOf(trial, containers));
    },
  },
  {
    id: 'gc-with-both-keys',
    covers: ['G4'],
    title: 'the list under its older name too, as libcni sends it, keeps what it names',
    applies: every,
    versions,
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      const list = [{ containerID: container.id, ifname: container.ifname }];
      const both = { 'cni.dev/valid-attachments': list, 'cni.dev/attachments': list };
      expectSilence(await trial.call('GC', { config: { ...trial.config(), ...both } }));
      await container.check();
    },
  },
  {
    id: 'gc-of-another-network',
    covers: ['G5'],
    title: 'GC of one network leaves another one alone, also on the same bridge',
    applies: every,
    versions,
    run: async (trial) => {
      const mine = await trial.container();
      await mine.add();
      const changes = trial.profile.delegates
        ? trial.ipamConfig({ ranges: [[{ subnet: '10.31.0.0/16' }]] })
        : trial.config();
      const other = trial.profile.type === 'bridge' ? { isGateway: false } : {};
      for (const name of ['pods-2', 'pod']) {
        const config = { ...changes, ...other, name };
        const neighbour = await trial.container({ config });
        await neighbour.add();
        const state = await snapshot(trial.host);
        expectSilence(await trial.callNetwork('GC', trial.config(), [mine]));
        expectSilence(await trial.callNetwork('GC', config, [neighbour]));
        expect(leftovers(state, await snapshot(trial.host))).toEqual(nothing);
        await neighbour.del();
      }
      await mine.check();
    },
  },
  {
    id: 'gc-during-adds',
    covers: ['G6'],
    title: 'GC beside a storm of ADDs takes nothing from those that it is told to keep',
    applies: keepers,
    versions,
    run: async (trial) => {
      const containers = await trial.containers(8);
      const collect = () => trial.callNetwork('GC', trial.config(), containers);
      const storm = containers.map(async (container, index) => {
        if (index % 2 === 0) expectSilence(await collect());
        await container.add();
      });
      await Promise.all(storm);
      expectSilence(await collect());
      for (const container of containers) await container.check();
    },
  },
];
