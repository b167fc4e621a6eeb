import { existsSync } from 'node:fs';
import { expect } from 'vitest';
import { podwireBin, referenceBin } from '../../support/binaries.ts';
import { systemPath } from '../../support/process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Case, delegatingPlugins, from, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { FakeDelegate } from '../suite/fake-delegate.ts';
import { versionsOf } from '../suite/subjects.ts';
import type { Trial } from '../suite/trial.ts';
import { expectInForce } from './add.ts';

/** How a plugin calls another one, and what it makes of passing trouble. */
export const delegationCases: readonly Case[] = [
  {
    id: 'delegate-found-on-cni-path',
    covers: ['L1'],
    title: 'a delegate that only PATH or the working directory has is not found; the error names it',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const [directory = ''] = delegate.path;
      const { config } = delegate;
      const container = await trial.container({ config });
      const elsewhere = { path: ['/run/netns', '/run/nowhere'], env: { PATH: `${directory}:${systemPath}` } };
      const { msg, details } = expectError(await container.attempt('ADD', elsewhere));
      expect(msg).toContain('fake');
      expect(`${msg} ${details}`).toContain('/run/nowhere');
      for (const type of [`${directory}/fake`, '../delegates/fake']) {
        const named = { path: ['/run/netns'], config: { ...config, ipam: { type } } };
        expectError(await container.attempt('ADD', named));
      }
      expect(delegate.verbs()).toEqual([]);
    },
  },
  {
    id: 'delegate-of-the-first-directory',
    covers: ['L1'],
    title: 'the first directory of CNI_PATH that has the delegate counts',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config } = delegate;
      await trial.host.shell('mkdir /run/first /run/last; printf "#!/bin/sh\\nexit 9" >/run/last/fake');
      await trial.host.shell('chmod 755 /run/last/fake');
      const container = await trial.container({ config });
      const path = ['/run/first', ...delegate.path, '/run/last'];
      await container.add({ path });
      await container.del({ path });
      expect(delegate.verbs()).toEqual(['ADD', 'DEL']);
    },
  },
  {
    id: 'delegate-gets-everything',
    covers: ['L2'],
    title: "a delegate gets the plugin's own variables and its whole configuration",
    applies: delegatingPlugins,
    versions: (version) => ['0.2.0', '1.0.0', '1.1.0'].includes(version),
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { path } = delegate;
      const config = {
        ...delegate.config,
        args: { cni: { labels: ['ä'] } },
        'unknown/key': { a: [null, 1.5] },
      };
      const container = await trial.container({ config });
      const args = 'IgnoreUnknown=1;K8S_POD_NAME=web-0';
      await container.add({ path, args });
      await container.del({ path, args });
      const [added, deleted] = delegate.calls();
      const variables = {
        CNI_CONTAINERID: container.id,
        CNI_NETNS: container.pod.netns,
        CNI_IFNAME: 'eth0',
        CNI_ARGS: args,
        CNI_PATH: path.join(':'),
      };
      expect(added?.env).toMatchObject({ CNI_COMMAND: 'ADD', ...variables });
      expect(deleted?.env).toMatchObject({ CNI_COMMAND: 'DEL', ...variables });
      expect(JSON.parse(added?.stdin ?? '')).toEqual(config);
      expect(JSON.parse(deleted?.stdin ?? '')).toMatchObject(config);
    },
  },
  {
    id: 'delegate-stderr',
    covers: ['L3'],
    title: 'what a delegate that succeeds writes to stderr is passed on',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      const container = await trial.container({ config });
      await delegate.on('ADD', `echo a word >&2; ${delegate.answer()}`);
      const added = await container.attempt('ADD', { path });
      expect(added).toMatchObject({ exitCode: 0, stderr: 'a word\n' });
    },
  },
  {
    id: 'delegate-stderr-of-a-failure',
    covers: ['L3'],
    title: 'what a delegate that fails writes to stderr is passed on beside its error',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      const container = await trial.container({ config });
      await delegate.on('ADD', `echo a word >&2; ${delegate.failure(77, 'no address today')}`);
      const failed = await container.attempt('ADD', { path });
      expectError(failed, 77);
      expect(failed.stderr).toContain('a word\n');
    },
  },
  {
    id: 'delegate-result-without-address',
    covers: ['L5'],
    title: "an ADD that cannot use the delegate's result calls its DEL",
    applies: delegatingPlugins,
    versions: from('0.3.0'),
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      const container = await trial.container({ config });
      await delegate.on('ADD', delegate.answer({ cniVersion: trial.version, ips: [], dns: {} }));
      expectError(await container.attempt('ADD', { path }));
      expect(delegate.verbs()).toEqual(['ADD', 'DEL']);
    },
  },
  {
    id: 'late-failure-frees-the-address',
    covers: ['L5', 'A2'],
    title: 'an ADD that fails because the interface exists keeps no address',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      await container.pod.exec(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other']);
      expectError(await container.attempt('ADD'));
      const files = await trial.host.shell('ls /var/lib/cni/networks/pods 2>/dev/null || true');
      expect(files.split('\n').filter((name) => name.startsWith('10.30.'))).toEqual([]);
    },
  },
  {
    id: 'no-ipam-is-layer-2',
    covers: ['L6'],
    title: 'a bridge network without ipam attaches the container without an address',
    applies: only('bridge'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const config = trial.config({ ipam: undefined, isGateway: false, ipMasq: false });
      const container = await trial.container({ config });
      const result = await container.add();
      expect(result.ips ?? []).toEqual([]);
      const names = result.interfaces?.map(({ name }) => name) ?? [];
      expect([names[0], names[2]]).toEqual(['cni0', 'eth0']);
      expect((await container.link())?.flags).toContain('UP');
      const addresses = await container.pod.addresses('eth0');
      expect(addresses.filter(({ scope }) => scope === 'global')).toEqual([]);
      await container.del();
      expect(await container.link()).toBeUndefined();
    },
  },
  {
    id: 'no-ipam-is-an-error',
    covers: ['L6'],
    title: 'a ptp network without ipam is an error',
    applies: only('ptp'),
    versions: 'newest',
    run: async (trial) => {
      for (const ipam of [undefined, {}]) {
        const container = await trial.container({ config: trial.config({ ipam }) });
        expectError(await container.attempt('ADD'));
        expect(await container.link()).toBeUndefined();
      }
    },
  },
  {
    id: 'foreign-delegate',
    covers: ['L1', 'L2', 'L4', 'L5'],
    title: "another implementation's host-local serves as well as the plugin's own",
    applies: delegatingPlugins,
    versions: (version) => version === '1.0.0' || version === '0.4.0' || version === '0.2.0',
    run: async (trial) => {
      for (const path of foreignPaths(trial)) {
        const container = await trial.container();
        const result = await container.add({ path });
        await expectInForce(container, result);
        const file = `/var/lib/cni/networks/pods/${container.addresses[0]}`;
        expect(await trial.host.exec(['cat', file])).toContain(container.id);
        if (from('0.4.0')(trial.version)) {
          await container.check({ path });
          await trial.host.exec(['mv', file, '/run/moved']);
          expectError(await container.attempt('CHECK', { path }));
          await trial.host.exec(['mv', '/run/moved', file]);
        }
        expectSilence(await container.attempt('DEL', { path }));
        expect((await trial.host.attempt(['test', '-e', file])).exitCode).toBe(1);
      }
    },
  },
  {
    id: 'transient-error-of-a-delegate',
    covers: ['T1', 'L4'],
    title: 'error 11 of a delegate comes back as error 11',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      const container = await trial.container({ config });
      for (const command of ['ADD', 'DEL'] as const) {
        await delegate.on(command, delegate.failure(11, 'busy'));
        expectError(await container.attempt(command, { path }), 11);
      }
    },
  },
  {
    id: 'lock-held-for-a-while',
    covers: ['T1'],
    title: 'a call waits for a lock that another process holds for a short time',
    applies: only('host-local', 'bridge', 'ptp', 'vxlan'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      await holdLock(trial, 0.4);
      await container.add();
      await container.del();
    },
  },
  {
    id: 'lock-held',
    covers: ['T1'],
    title: 'a lock that another process does not give back is error 11 within 36 seconds',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      await holdLock(trial, 600);
      const outcome = await container.attempt('ADD', { timeout: 36_000 });
      expect(outcome.timedOut, 'still waiting').toBe(false);
      expectError(outcome, 11);
    },
  },
];

/** CNI_PATHs that begin with another implementation's directory, of those that know the version. */
const foreignPaths = ({ subject, version }: Trial): string[][] => {
  const others = [podwireBin, referenceBin].filter(
    (binDir) =>
      binDir !== subject.binDir &&
      existsSync(`${binDir}/host-local`) &&
      versionsOf({ name: binDir, binDir, known: [] }, 'host-local').includes(version),
  );
  expect(others.length, 'other implementations on this machine').toBeGreaterThan(0);
  return others.map((binDir) => [binDir, subject.binDir]);
};

/** Lets a process hold host-local's lock of the network for that many seconds. */
const holdLock = async ({ host }: Trial, seconds: number): Promise<void> => {
  const directory = '/var/lib/cni/networks/pods';
  await host.shell(`mkdir -p ${directory}; : >${directory}/lock`);
  host.start(['flock', `${directory}/lock`, 'sleep', String(seconds)], { timeout: 3_600_000 });
  await waitUntil(
    'the lock is held',
    async () => (await host.attempt(['flock', '--nonblock', `${directory}/lock`, 'true'])).exitCode !== 0,
  );
};
