import { expect } from 'vitest';
import { routesOf } from '../../plugins/kernel-state.ts';
import type { Pod } from '../../support/pod.ts';
import { ping } from '../../support/traffic.ts';
import { type Case, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import type { Trial } from '../suite/trial.ts';

/** The rules that somebody has added: `10.30.0.2 100`, source address and table. */
const rulesOf = async (pod: Pod, family: 4 | 6 = 4): Promise<string[]> => {
  const rules = JSON.parse(await pod.exec(['ip', '-j', `-${family}`, 'rule'])) as {
    src: string;
    table: string;
  }[];
  return rules.filter(({ src }) => src !== 'all').map(({ src, table }) => `${src} ${table}`);
};

/** A container with two interfaces that know one default gateway each, none of them sorted yet. */
const twoInterfaces = async (
  trial: Trial,
  ipv6 = false,
  keys: object = {},
): Promise<[Container, Container]> => {
  const config = { ...trial.config(), ...keys };
  const first = await trial.container({ config, ipv6 });
  return [first, await trial.container({ config, ipv6, beside: first, ifname: 'net1' })];
};

const scenario = (name: string, title: string, run: (trial: Trial) => Promise<void>): Case => ({
  id: `sbr-${name}`,
  covers: [],
  title,
  applies: only('sbr'),
  versions: 'newest',
  run,
});

/** What sbr does to rules and tables. */
export const sbrScenarios: readonly Case[] = [
  scenario(
    'rules',
    'what comes from the address goes by a table of its own, and by no other',
    async (trial) => {
      const [{ pod }, second] = await twoInterfaces(trial);
      const { ips = [] } = await second.add();
      const [address = ''] = second.addresses;
      const [rule = ''] = await rulesOf(pod);
      expect(await rulesOf(pod)).toEqual([`${address} 100`]);
      const table = await routesOf(pod, 4, rule.split(' ')[1]);
      expect(table.map(({ dst, gateway, dev }) => [dst, gateway, dev])).toEqual(
        expect.arrayContaining([['default', ips[0]?.gateway, 'net1']]),
      );
      expect(table.every(({ dev }) => dev === 'net1')).toBe(true);
      expect((await routesOf(pod)).map(({ dev }) => dev)).toEqual(['eth0', 'eth0']);
    },
  ),
  scenario('result', 'the result is what it was', async (trial) => {
    const [, second] = await twoInterfaces(trial);
    const { dns: _, ...earlier } = second.earlier ?? {};
    expect(await second.add()).toMatchObject(earlier);
  }),
  scenario('traffic', 'what arrives by an interface is answered by it', async (trial) => {
    const [first, second] = await twoInterfaces(trial);
    const { pod } = first;
    await second.add();
    await pod.exec(['nft', '-f', '-'], {
      stdin: `table ip t { chain c { type filter hook output priority 0;
        icmp type echo-reply oifname net1 counter; icmp type echo-reply oifname eth0 counter; }; }`,
    });
    const replies = async (): Promise<string[]> =>
      [...(await pod.exec(['nft', 'list', 'ruleset'])).matchAll(/counter packets (\d+)/g)].map(
        ([, packets]) => (packets === '0' ? 'none' : 'some'),
      );
    expect(await ping(trial.host, second.addresses[0] ?? '')).toBe(true);
    expect(await replies()).toEqual(['some', 'none']);
    expect(await ping(trial.host, first.earlier?.ips?.[0]?.address.split('/')[0] ?? '')).toBe(true);
    expect(await replies()).toEqual(['some', 'some']);
  }),
  scenario('ipv6', 'each address of either family has a table', async (trial) => {
    const [{ pod }, second] = await twoInterfaces(trial, true);
    await second.add();
    const [v4 = '', v6 = ''] = second.addresses;
    expect(await rulesOf(pod, 4)).toEqual([`${v4} 100`]);
    const [rule = ''] = await rulesOf(pod, 6);
    expect(rule).toMatch(new RegExp(`^${v6} 10[01]$`));
    const table = await routesOf(pod, 6, rule.split(' ')[1]);
    expect(table).toContainEqual(
      expect.objectContaining({ dst: 'default', gateway: 'fe80::1', dev: 'net1' }),
    );
  }),
  scenario('two', 'a second one takes the next free table', async (trial) => {
    const [first, second] = await twoInterfaces(trial);
    await first.pod.exec(['ip', 'rule', 'add', 'from', '192.0.2.1', 'table', '101']);
    await first.add();
    await second.add();
    expect((await rulesOf(first.pod)).toSorted()).toEqual([
      `${first.addresses[0]} 100`,
      `${second.addresses[0]} 102`,
      '192.0.2.1 101',
    ]);
  }),
  scenario('table', 'takes the table that it is told', async (trial) => {
    const [{ pod }, second] = await twoInterfaces(trial, false, { table: 5000 });
    await second.add();
    expect(await rulesOf(pod)).toEqual([`${second.addresses[0]} 5000`]);
  }),
  scenario('del', 'DEL takes its rules away, and no others', async (trial) => {
    const [first, second] = await twoInterfaces(trial);
    for (const container of [first, second]) await container.add();
    await second.del();
    expect(await rulesOf(first.pod)).toEqual([`${first.addresses[0]} 100`]);
    await first.del();
    expect(await rulesOf(first.pod)).toEqual([]);
  }),
];
