import { expect } from 'vitest';
import { type Case, delegatingPlugins, every, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { FakeDelegate } from '../suite/fake-delegate.ts';
import { expectNothingLeft, usedHost } from '../suite/leftovers.ts';
import type { Profile } from '../suite/profiles.ts';
import type { CallOptions } from '../suite/trial.ts';

const hasLink = ({ role }: Profile): boolean => role === 'interface' || role === 'chained';
const usesHostLocal = only('bridge', 'ptp', 'vxlan', 'host-local');

/** What has happened to a container before its DEL. */
interface Decay {
  id: string;
  title: string;
  covers: Case['covers'];
  applies: Case['applies'];
  happens?(container: Container): Promise<unknown>;
  call?: CallOptions;
}

const removeNetns = ({ pod }: Container): Promise<void> => pod.remove();

const decays: readonly Decay[] = [
  { id: 'del', title: 'nothing has happened', covers: ['D1', 'D2'], applies: every },
  {
    id: 'del-after-netns-gone',
    title: 'its netns is gone, and CNI_NETNS names it',
    covers: ['D1', 'D3'],
    applies: every,
    happens: removeNetns,
  },
  {
    id: 'del-with-empty-netns',
    title: 'its netns is gone, and CNI_NETNS is empty',
    covers: ['D1', 'D3'],
    applies: every,
    happens: removeNetns,
    call: { netns: '' },
  },
  {
    id: 'del-without-netns',
    title: 'its netns is gone, and CNI_NETNS is not set',
    covers: ['D1', 'D3'],
    applies: every,
    happens: removeNetns,
    call: { env: { CNI_NETNS: undefined } },
  },
  {
    id: 'del-after-interface-gone',
    title: 'its interface is gone',
    covers: ['D1'],
    applies: hasLink,
    happens: ({ pod, ifname }) => pod.exec(['ip', 'link', 'del', ifname]),
  },
  {
    id: 'del-after-rules-gone',
    title: 'the packet filter was emptied',
    covers: ['D1'],
    applies: hasLink,
    happens: ({ trial }) => trial.host.exec(['nft', 'flush', 'ruleset']),
  },
  {
    id: 'del-after-address-file-gone',
    title: 'its address file is gone',
    covers: ['D1'],
    applies: usesHostLocal,
    happens: ({ trial, addresses }) =>
      trial.host.shell(addresses.map((address) => `rm /var/lib/cni/networks/pods/${address}`).join(';')),
  },
  {
    id: 'del-after-all-is-gone',
    title: 'netns, rules and addresses are gone',
    covers: ['D1', 'D3'],
    applies: every,
    happens: async ({ trial, pod }) => {
      await pod.remove();
      await trial.host.shell('nft flush ruleset; rm -rf /var/lib/cni/networks');
    },
  },
];

const decayed = ({ id, title, covers, applies, happens, call = {} }: Decay): Case => ({
  id,
  covers,
  title: `DEL succeeds and leaves nothing: ${title}`,
  applies,
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container();
    const state = await usedHost(trial);
    await container.add();
    await happens?.(container);
    expectSilence(await container.attempt('DEL', call));
    await expectNothingLeft(trial, state);
    expectSilence(await container.attempt('DEL', call));
  },
});

const withoutResult = (container: Container, prevResult?: unknown): CallOptions => ({
  config: prevResult === undefined ? container.config : { ...container.config, prevResult },
});

/** What DEL does. */
export const deleteCases: readonly Case[] = [
  ...decays.map(decayed),
  {
    id: 'del-repeated',
    covers: ['D2', 'D1'],
    title: 'DEL succeeds three times over, and prints nothing',
    applies: every,
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      for (let time = 0; time < 3; time += 1) expectSilence(await container.attempt('DEL'));
    },
  },
  {
    id: 'del-of-unknown',
    covers: ['D2'],
    title: 'DEL of a container that was never added succeeds, and takes nothing from others',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const stranger = await trial.container();
      expectSilence(await stranger.attempt('DEL'));
      const neighbour = await trial.container();
      await neighbour.add();
      expectSilence(await stranger.attempt('DEL'));
      expectSilence(await stranger.attempt('DEL', { netns: '' }));
      if (trial.profile.type !== 'portmap') await neighbour.check();
      await neighbour.del();
    },
  },
  {
    id: 'del-without-prev-result',
    covers: ['D4'],
    title: 'DEL without prevResult leaves nothing',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const state = await usedHost(trial);
      await container.add();
      expectSilence(await container.attempt('DEL', withoutResult(container)));
      await expectNothingLeft(trial, state);
    },
  },
  {
    id: 'del-with-garbage-prev-result',
    covers: ['D4'],
    title: 'DEL with a prevResult that is none leaves nothing',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const state = await usedHost(trial);
      await container.add();
      for (const garbage of ['garbage', { ips: 'none' }]) {
        expectSilence(await container.attempt('DEL', withoutResult(container, garbage)));
      }
      await expectNothingLeft(trial, state);
    },
  },
  {
    id: 'del-reaches-the-delegate',
    covers: ['D5', 'L4', 'D3'],
    title: 'DEL is delegated whatever has become of the netns, and without an ADD',
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      const container = await trial.container({ config });
      await container.attempt('DEL', { path });
      await container.add({ path });
      await delegate.forget();
      await container.pod.remove();
      for (const netns of [container.pod.netns, '', undefined]) {
        expectSilence(await container.attempt('DEL', { path, env: { CNI_NETNS: netns } }));
      }
      expect(delegate.verbs()).toEqual(['DEL', 'DEL', 'DEL']);
    },
  },
  {
    id: 'del-with-a-failing-delegate',
    covers: ['D5', 'L4'],
    title: "the delegate's error comes back from DEL, also when the netns is gone",
    applies: delegatingPlugins,
    versions: 'newest',
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      const container = await trial.container({ config });
      await container.add({ path });
      await delegate.on('DEL', delegate.failure(77, 'cannot release'));
      for (const netns of [container.pod.netns, '/run/netns/gone', '']) {
        const error = expectError(await container.attempt('DEL', { path, netns }), 77);
        expect(error.msg).toContain('cannot release');
      }
      await delegate.on('DEL', '');
      await container.del({ path });
    },
  },
];
