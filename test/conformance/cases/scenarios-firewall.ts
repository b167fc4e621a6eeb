import { expect } from 'vitest';
import { connectOutside, type Outside } from '../../support/links.ts';
import { requireTool } from '../../support/needs.ts';
import type { Pod } from '../../support/pod.ts';
import { ping } from '../../support/traffic.ts';
import { type Bridged, bridgedContainer } from '../suite/bridged-container.ts';
import { type Case, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import type { Trial } from '../suite/trial.ts';

const scenario = (name: string, title: string, run: (trial: Trial) => Promise<void>): Case => ({
  id: `firewall-${name}`,
  covers: [],
  title,
  applies: only('firewall'),
  versions: 'newest',
  run: async (trial) => {
    requireTool(trial.context, 'iptables', 'ip6tables');
    await run(trial);
  },
});

/** Two containers on one bridge and one on another, all behind this policy. */
const threeContainers = async (trial: Trial, ingressPolicy: string): Promise<[Bridged, Bridged, Bridged]> => {
  const config = trial.config({ ingressPolicy });
  const a = await bridgedContainer(trial, 'left', 1, config);
  const b = await bridgedContainer(trial, 'left', 1, config);
  const c = await bridgedContainer(trial, 'right', 2, config);
  for (const container of [a, b, c]) await container.add();
  return [a, b, c];
};

/** Which of the addresses answer. */
const answers = (from: Pod, addresses: string[]): Promise<boolean[]> =>
  Promise.all(addresses.map((address) => ping(from, address)));

/** The same for those that are not expected to: asked once, which is certain on one machine, and in less time. */
const answersAtOnce = (from: Pod, addresses: string[]): Promise<boolean[]> =>
  Promise.all(
    addresses.map(async (address) => {
      const { exitCode } = await from.attempt(['ping', '-n', '-q', '-c', '1', '-W', '1', address]);
      return exitCode === 0;
    }),
  );

const outsideOf = ({ host }: Trial): Promise<Outside> =>
  connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64'], { defaultRoute: true });

const dropForwarding = 'iptables -P FORWARD DROP; ip6tables -P FORWARD DROP';
const both = [true, true];
const neither = [false, false];

/** Whom firewall lets through. */
export const firewallScenarios: readonly Case[] = [
  scenario(
    'admits',
    'a container is reached and reaches others where forwarding is dropped',
    async (trial) => {
      const outside = await outsideOf(trial);
      await trial.host.shell(dropForwarding);
      const container = await bridgedContainer(trial, 'left', 1, trial.config());
      expect(await answersAtOnce(container.pod, outside.addresses)).toEqual(neither);
      await container.add();
      expect(await answers(container.pod, outside.addresses)).toEqual(both);
      await container.check();
      await container.del();
      expect(await answersAtOnce(container.pod, outside.addresses)).toEqual(neither);
    },
  ),
  scenario('open', 'with the policy "open" bridges reach each other, and the outside them', async (trial) => {
    const outside = await outsideOf(trial);
    const [a, b, c] = await threeContainers(trial, 'open');
    expect(await answers(a.pod, b.addresses)).toEqual(both);
    expect(await answers(a.pod, c.addresses)).toEqual(both);
    expect(await answers(outside.place, a.addresses)).toEqual(both);
  }),
  scenario(
    'same-bridge',
    'with the policy "same-bridge" only containers of one bridge reach each other',
    async (trial) => {
      const outside = await outsideOf(trial);
      const [a, b, c] = await threeContainers(trial, 'same-bridge');
      expect(await answers(a.pod, b.addresses)).toEqual(both);
      expect(await answersAtOnce(a.pod, c.addresses)).toEqual(neither);
      expect(await answersAtOnce(c.pod, a.addresses)).toEqual(neither);
      expect(await answers(a.pod, outside.addresses)).toEqual(both);
      await a.check();
      for (const container of [a, b, c]) await container.del();
    },
  ),
  scenario(
    'isolated',
    'with the policy "isolated" containers of other bridges do not reach it',
    async (trial) => {
      const outside = await outsideOf(trial);
      const [a, , c] = await threeContainers(trial, 'isolated');
      expect(await answersAtOnce(a.pod, c.addresses)).toEqual(neither);
      expect(await answersAtOnce(c.pod, a.addresses)).toEqual(neither);
      expect(await answers(a.pod, outside.addresses)).toEqual(both);
    },
  ),
  ...['CNI-ADMIN', 'SITE-RULES'].map((chain) =>
    scenario(
      `admin-chain-${chain.toLowerCase()}`,
      `a rule of the chain ${chain} goes before its own, and stays`,
      async (trial) => {
        const outside = await outsideOf(trial);
        const [target = ''] = outside.addresses;
        await trial.host.shell(dropForwarding);
        const keys = chain === 'CNI-ADMIN' ? {} : { iptablesAdminChainName: chain };
        const config = trial.config({ ...keys, backend: 'iptables' });
        const [a, b] = [
          await bridgedContainer(trial, 'left', 1, config),
          await bridgedContainer(trial, 'left', 1, config),
        ];
        await a.add();
        expect(await answers(a.pod, [target])).toEqual([true]);
        await trial.host.exec(['iptables', '-I', chain, '-d', target, '-j', 'DROP']);
        expect(await answersAtOnce(a.pod, [target])).toEqual([false]);
        await b.add();
        expect(await answersAtOnce(b.pod, [target])).toEqual([false]);
        for (const container of [a, b]) await container.del();
        expect(await trial.host.exec(['iptables', '-S', chain])).toContain(`-d ${target}/32 -j DROP`);
      },
    ),
  ),
  scenario('check-flushed', 'CHECK sees that the rules are lost', async (trial) => {
    const container = await bridgedContainer(trial, 'left', 1, trial.config());
    await container.add();
    await container.check();
    await trial.host.exec(['nft', 'flush', 'ruleset']);
    expectError(await container.attempt('CHECK'));
  }),
  scenario('del-without-netns', 'DEL after the netns is gone takes its rules away', async (trial) => {
    const config = trial.config();
    const guest = await bridgedContainer(trial, 'left', 1, config);
    await guest.add();
    await guest.del();
    const rules = (): Promise<string> => trial.host.exec(['nft', '--stateless', 'list', 'ruleset']);
    const before = await rules();
    for (const netns of ['', '/run/netns/gone']) {
      const container = await bridgedContainer(trial, 'left', 1, config);
      await container.add();
      expect(await rules()).not.toBe(before);
      await container.pod.remove();
      expectSilence(await container.attempt('DEL', { netns }));
    }
    expect(await rules()).toBe(before);
  }),
  ...['ingressPolicy', 'backend'].map((key) =>
    scenario(`refuses-${key.toLowerCase()}`, `refuses a ${key} that it does not know`, async (trial) => {
      const container = await trial.container({ config: trial.config({ [key]: 'nonsense' }) });
      expectError(await container.attempt('ADD'));
    }),
  ),
];
