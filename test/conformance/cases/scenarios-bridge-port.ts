import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { linkNames, linkOf } from '../../plugins/kernel-state.ts';
import { startPlugin } from '../../support/call-plugin.ts';
import { requireKernel } from '../../support/needs.ts';
import { ping } from '../../support/traffic.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Case, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError } from '../suite/expectations.ts';
import type { NetworkConfig, Trial } from '../suite/trial.ts';

const portOf = ({ result }: Container): string => {
  const port = result?.interfaces?.find(({ name, sandbox }) => !sandbox && name !== 'cni0');
  if (port === undefined) throw new Error('the result has no port of the bridge');
  return port.name;
};

const twoFamilies = (trial: Trial, changes: Record<string, unknown> = {}): NetworkConfig => ({
  ...trial.ipamConfig({ ranges: [[{ subnet: '10.30.0.0/16' }], [{ subnet: 'fd30::/64' }]] }),
  ipMasq: false,
  ...changes,
});

/** Hairpin mode of the port, and whether a container gets its own broadcasts back. */
const hairpin = (hairpinMode: boolean): Case => ({
  id: `bridge-hairpin-${hairpinMode ? 'on' : 'off'}`,
  covers: [],
  title: `hairpinMode ${hairpinMode}: its own broadcasts ${hairpinMode ? 'come' : 'do not come'} back`,
  applies: only('bridge'),
  versions: 'newest',
  run: async (trial) => {
    requireKernel(trial.context, 'nftables');
    const container = await trial.container({ config: trial.config({ hairpinMode }) });
    await container.add();
    const { linkinfo } = await linkOf(trial.host, portOf(container));
    expect(linkinfo?.info_slave_data?.hairpin).toBe(hairpinMode);
    const { pod } = container;
    const { address: mac } = await linkOf(pod, 'eth0');
    await pod.exec(['nft', '-f', '-'], {
      stdin: `table netdev t { chain c { type filter hook ingress device eth0 priority 0; ether saddr ${mac} counter; }; }`,
    });
    await pod.attempt(['ping', '-n', '-q', '-c', '1', '-W', '1', '10.30.99.99']);
    const [, packets] = /counter packets (\d+)/.exec(await pod.exec(['nft', 'list', 'ruleset'])) ?? [];
    expect(Number(packets) > 0).toBe(hairpinMode);
  },
});

const isolation = (portIsolation: boolean): Case => ({
  id: `bridge-isolation-${portIsolation ? 'on' : 'off'}`,
  covers: [],
  title: `portIsolation ${portIsolation}: containers ${portIsolation ? 'do not reach' : 'reach'} each other`,
  applies: only('bridge'),
  versions: 'newest',
  run: async (trial) => {
    requireKernel(trial.context, 'bridge port isolation');
    const config = twoFamilies(trial, { portIsolation });
    const [a, b] = [await trial.container({ config }), await trial.container({ config })];
    for (const container of [a, b]) await container.add();
    const reached = await Promise.all(b.addresses.map((address) => ping(a.pod, address)));
    expect(reached).toEqual([!portIsolation, !portIsolation]);
    for (const gateway of ['10.30.0.1', 'fd30::1']) expect(await ping(a.pod, gateway)).toBe(true);
    await a.check();
  },
});

const mac = {
  environment: 'c2:11:22:33:44:55',
  args: 'c2:11:22:33:44:66',
  runtime: 'c2:11:22:33:44:77',
};

/** Where the MAC comes from: `last` has the last word. */
const macSource = (last: keyof typeof mac, ...earlier: (keyof typeof mac)[]): Case => {
  const sources = [...earlier, last];
  return {
    id: `bridge-mac-${sources.join('-and-')}`,
    covers: [],
    title: `takes the MAC of ${last} when it has that of ${sources.join(' and ')}`,
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({
        config: trial.config({
          ...(sources.includes('args') && { args: { cni: { mac: mac.args } } }),
          ...(sources.includes('runtime') && { runtimeConfig: { mac: mac.runtime } }),
        }),
      });
      const args = sources.includes('environment') ? { args: `IgnoreUnknown=1;MAC=${mac.environment}` } : {};
      const { interfaces } = await container.add(args);
      expect(interfaces?.[2]?.mac).toBe(mac[last]);
      expect((await linkOf(container.pod, 'eth0')).address).toBe(mac[last]);
      await container.check(args);
      await container.del(args);
    },
  };
};

/** What bridge does with the container's port. */
export const bridgePortScenarios: readonly Case[] = [
  macSource('environment'),
  macSource('args'),
  macSource('runtime'),
  macSource('args', 'environment'),
  macSource('runtime', 'environment', 'args'),
  {
    id: 'bridge-mac-invalid',
    covers: ['I1'],
    title: 'a MAC that is none is refused',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const config = trial.config({ runtimeConfig: { mac: 'nonsense' } });
      const container = await trial.container({ config });
      expect(expectError(await container.attempt('ADD')).msg).toMatch(/mac|nonsense/i);
    },
  },
  hairpin(false),
  hairpin(true),
  {
    id: 'bridge-hairpin-and-promisc',
    covers: ['I1'],
    title: 'hairpinMode and promiscMode exclude each other',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const config = trial.config({ hairpinMode: true, promiscMode: true });
      const container = await trial.container({ config });
      expect(expectError(await container.attempt('ADD')).msg).toMatch(/promisc/);
      expect(await linkNames(trial.host)).toEqual(['lo']);
    },
  },
  isolation(false),
  isolation(true),
  {
    id: 'bridge-spoof-check',
    covers: [],
    title: 'macspoofchk drops what the container sends under another MAC',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      requireKernel(trial.context, 'nftables bridge family');
      const spoof = await trial.container({ config: trial.config({ macspoofchk: true }) });
      const other = await trial.container();
      for (const container of [spoof, other]) await container.add();
      const [target = ''] = other.addresses;
      expect(await ping(spoof.pod, target)).toBe(true);
      const { address: own } = await linkOf(spoof.pod, 'eth0');
      const becomes = (address: string): Promise<string> =>
        spoof.pod.shell(`ip link set eth0 address ${address}; ip neigh flush all`);
      await becomes('02:00:00:00:00:99');
      expect(await ping(spoof.pod, target)).toBe(false);
      await becomes(own);
      expect(await ping(spoof.pod, target)).toBe(true);
      const port = portOf(spoof);
      await spoof.del();
      expect(await trial.host.exec(['nft', 'list', 'ruleset'])).not.toContain(port);
    },
  },
  {
    id: 'bridge-dad-off',
    covers: [],
    title: 'without enabledad an IPv6 address is used at once, whoever else has it',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const config = twoFamilies(trial);
      const [first, second] = [await trial.container({ config }), await trial.container({ config })];
      await first.add();
      expect(await first.pod.exec(['ip', '-6', 'addr', 'show', 'tentative'])).toBe('');
      await first.pod.exec(['ip', 'addr', 'add', 'fd30::3/64', 'dev', 'eth0', 'nodad']);
      await second.add();
      expect(await second.pod.exec(['ip', '-6', 'addr', 'show', 'dadfailed'])).toBe('');
    },
  },
  {
    id: 'bridge-dad-on',
    covers: [],
    title: 'with enabledad an IPv6 address that somebody else has is not used',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const config = twoFamilies(trial, { enabledad: true });
      const [first, second] = [await trial.container({ config }), await trial.container({ config })];
      await first.add();
      expect(await first.pod.exec(['ip', '-6', 'addr', 'show', 'tentative'])).toBe('');
      await first.pod.exec(['ip', 'addr', 'add', 'fd30::3/64', 'dev', 'eth0', 'nodad']);
      // Whether that fails the ADD, and how long it is waited for, is left to the plugin.
      const adding = startPlugin(trial.host, {
        binDir: trial.subject.binDir,
        plugin: 'bridge',
        command: 'ADD',
        containerId: second.id,
        netns: second.pod,
        config,
      });
      const failed = adding.outcome.then(({ exitCode }) => exitCode !== 0);
      await waitUntil('the duplicate is found', async () => {
        const found = await second.pod.exec(['ip', '-6', 'addr', 'show', 'dadfailed']);
        return found.includes('fd30::3') || Promise.race([failed, sleep(0, false)]);
      });
      adding.kill('SIGKILL');
      await adding.outcome;
    },
  },
  {
    id: 'bridge-interface-disabled',
    covers: [],
    title: "disableContainerInterface leaves the container's end down",
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const config = trial.config({ ipam: undefined, ipMasq: false, disableContainerInterface: true });
      const container = await trial.container({ config });
      await container.add();
      expect((await linkOf(container.pod, 'eth0')).flags).not.toContain('UP');
      expect((await linkOf(trial.host, portOf(container))).master).toBe('cni0');
      await container.del();
      expect(await linkNames(container.pod)).toEqual(['lo']);
    },
  },
  {
    id: 'bridge-interface-disabled-ipam',
    covers: ['I1'],
    title: 'disableContainerInterface and IPAM exclude each other',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      const config = trial.config({ disableContainerInterface: true });
      const container = await trial.container({ config });
      expectError(await container.attempt('ADD'));
      await container.del();
      expect(await linkNames(container.pod)).toEqual(['lo']);
    },
  },
];
