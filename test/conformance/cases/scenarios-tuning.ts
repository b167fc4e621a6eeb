import { expect } from 'vitest';
import type { Pod } from '../../support/pod.ts';
import { type Case, from, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError } from '../suite/expectations.ts';
import type { CallOptions, NetworkConfig, Trial } from '../suite/trial.ts';

/** A configuration with these keys alone. */
const tuned = (trial: Trial, keys: Record<string, unknown>): NetworkConfig => ({
  ...trial.config({ mtu: undefined, promisc: undefined, sysctl: undefined }),
  // The profile's own would come in where there is none.
  mac: undefined,
  ...keys,
});

interface Attributes {
  mac: string;
  mtu: number;
  promisc: boolean;
  allmulti: boolean;
  txQLen: number;
}

const wanted: Attributes = {
  mac: '02:00:5e:ed:77:01',
  mtu: 1300,
  promisc: true,
  allmulti: true,
  txQLen: 500,
};

const attributesOf = async (pod: Pod, ifname = 'eth0'): Promise<Attributes> => {
  const [link] = JSON.parse(await pod.exec(['ip', '-j', '-d', 'link', 'show', 'dev', ifname])) as [
    { address: string; mtu: number; promiscuity: number; flags: string[]; txqlen: number },
  ];
  return {
    mac: link.address,
    mtu: link.mtu,
    promisc: link.promiscuity > 0,
    allmulti: link.flags.includes('ALLMULTI'),
    txQLen: link.txqlen,
  };
};

/** By what each is changed behind the plugin's back. */
const changes: Record<keyof Attributes, string> = {
  mac: 'address 02:00:5e:ed:77:99',
  mtu: 'mtu 1290',
  promisc: 'promisc off',
  allmulti: 'allmulticast off',
  txQLen: 'txqueuelen 77',
};

type Source = 'config' | 'environment' | 'capability' | 'args';

const given = (
  trial: Trial,
  attribute: keyof Attributes,
  source: Source,
): CallOptions & { config: NetworkConfig } => {
  const value = wanted[attribute];
  if (source === 'environment') {
    return { config: tuned(trial, {}), args: `IgnoreUnknown=1;MAC=${value}` };
  }
  const keys = {
    config: { [attribute]: value },
    capability: { runtimeConfig: { [attribute]: value } },
    args: { args: { cni: { [attribute]: value } } },
  };
  return { config: tuned(trial, keys[source]) };
};

/** An attribute of the link from one source: set, reported, checked, and as before after DEL. */
const attribute = (name: keyof Attributes, source: Source): Case => ({
  id: `tuning-${name}-${source}`,
  covers: [],
  title: `${name} from ${source}: set, checked and restored`,
  applies: only('tuning'),
  versions: 'newest',
  run: async (trial) => {
    const { config, ...options } = given(trial, name, source);
    const container = await trial.container({ config });
    const { pod } = container;
    const before = await attributesOf(pod);
    const result = await container.add(options);
    expect(await attributesOf(pod)).toEqual({ ...before, [name]: wanted[name] });
    if (name === 'mac') expect(result.interfaces?.[1]?.mac).toBe(wanted.mac);
    await container.check(options);
    await pod.shell(`ip link set dev eth0 ${changes[name]}`);
    expectError(await container.attempt('CHECK', options));
    await container.del(options);
    expect(await attributesOf(pod)).toEqual(before);
  },
});

/** The last of the sources has the last word. */
const precedence = (last: Source, other: Source): Case => ({
  id: `tuning-mac-${last}-before-${other}`,
  covers: [],
  title: `the mac from ${last} goes before that from ${other}`,
  applies: only('tuning'),
  versions: 'newest',
  run: async (trial) => {
    const options = given(trial, 'mac', last);
    const otherMac = '02:00:5e:ed:77:02';
    const config = {
      ...options.config,
      ...(other === 'config' && { mac: otherMac }),
      ...(other === 'capability' && { runtimeConfig: { mac: otherMac } }),
    };
    const args = other === 'environment' ? { args: `IgnoreUnknown=1;MAC=${otherMac}` } : {};
    const container = await trial.container({ config });
    await container.add({ ...(options.args !== undefined && { args: options.args }), ...args });
    expect((await attributesOf(container.pod)).mac).toBe(wanted.mac);
  },
});

const read = async ({ pod }: Container, key: string): Promise<string> =>
  (await pod.exec(['cat', `/proc/sys/net/${key}`])).trim();

const sysctl = (
  name: string,
  title: string,
  { ifname = 'eth0', key, file }: { ifname?: string; key: string; file: string },
): Case => ({
  id: `tuning-sysctl-${name}`,
  covers: [],
  title,
  applies: only('tuning'),
  versions: 'newest',
  run: async (trial) => {
    const config = tuned(trial, { sysctl: { [key]: '7' } });
    const container = await trial.container({ config, ifname });
    await container.add();
    expect(await read(container, file)).toBe('7');
    await container.check();
    await container.pod.exec(['sh', '-c', `echo 8 >"/proc/sys/net/${file}"`]);
    expectError(await container.attempt('CHECK'));
  },
});

const refused = (name: string, keys: Record<string, unknown>): Case => ({
  id: `tuning-refuses-${name}`,
  covers: ['I1'],
  title: `refuses ${JSON.stringify(keys)}`,
  applies: only('tuning'),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container({ config: tuned(trial, keys) });
    const before = await attributesOf(container.pod);
    expectError(await container.attempt('ADD'));
    expect(await attributesOf(container.pod)).toEqual(before);
  },
});

/** What tuning does. */
export const tuningScenarios: readonly Case[] = [
  attribute('mac', 'config'),
  attribute('mac', 'environment'),
  attribute('mac', 'capability'),
  attribute('mac', 'args'),
  precedence('environment', 'config'),
  precedence('capability', 'environment'),
  precedence('args', 'capability'),
  ...(['mtu', 'promisc', 'allmulti', 'txQLen'] as const).flatMap((name) => [
    attribute(name, 'config'),
    attribute(name, 'args'),
  ]),
  {
    id: 'tuning-all',
    covers: ['A1', 'A3', 'C4', 'D1'],
    title: 'all at once, in the result as far as that has a place for it',
    applies: only('tuning'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const { mac, mtu, promisc, allmulti } = wanted;
      const config = tuned(trial, { mac, mtu, promisc, allmulti, sysctl: { 'net.core.somaxconn': '500' } });
      const container = await trial.container({ config });
      const before = await attributesOf(container.pod);
      const { interfaces, ...rest } = await container.add();
      expect(await attributesOf(container.pod)).toEqual({ ...wanted, txQLen: before.txQLen });
      expect(await read(container, 'core/somaxconn')).toBe('500');
      const [hostEnd, podEnd] = container.earlier?.interfaces ?? [];
      expect(interfaces).toMatchObject([hostEnd, { ...podEnd, mac }]);
      expect(rest).toMatchObject({ ips: container.earlier?.ips, routes: container.earlier?.routes });
      if (from('0.4.0')(trial.version)) await container.check();
      await container.del();
      expect(await attributesOf(container.pod)).toEqual(before);
    },
  },
  {
    id: 'tuning-del-without-netns',
    covers: ['D3'],
    title: 'DEL after the netns is gone is done, and forgets what it would restore',
    applies: only('tuning'),
    versions: 'newest',
    run: async (trial) => {
      const config = tuned(trial, { mtu: wanted.mtu, dataDir: '/run/kept' });
      for (const netns of ['', '/run/netns/gone']) {
        const container = await trial.container({ config });
        await container.add();
        await container.pod.remove();
        await container.del({ netns });
      }
      expect(await trial.host.shell('find /run/kept -type f 2>/dev/null || true')).toBe('');
    },
  },
  sysctl('dots', 'a sysctl written with dots', { key: 'net.ipv4.conf.eth0.tag', file: 'ipv4/conf/eth0/tag' }),
  sysctl('slashes', 'a sysctl written with slashes', {
    key: 'net/ipv4/conf/eth0/tag',
    file: 'ipv4/conf/eth0/tag',
  }),
  sysctl('ifname', 'IFNAME in a sysctl is the interface', {
    key: 'net.ipv4.conf.IFNAME.tag',
    file: 'ipv4/conf/eth0/tag',
  }),
  sysctl('ifname-with-dot', 'IFNAME may have a dot', {
    ifname: 'eth0.10',
    key: 'net/ipv4/conf/IFNAME/tag',
    file: 'ipv4/conf/eth0.10/tag',
  }),
  {
    id: 'tuning-sysctl-args',
    covers: [],
    title: 'sysctls of args are added to its own, and go before them',
    applies: only('tuning'),
    versions: 'newest',
    run: async (trial) => {
      const config = tuned(trial, {
        sysctl: { 'net.ipv4.conf.eth0.tag': '1', 'net.core.somaxconn': '501' },
        args: { cni: { sysctl: { 'net.ipv4.conf.eth0.tag': '2', 'net.ipv4.conf.all.tag': '3' } } },
      });
      const container = await trial.container({ config });
      await container.add();
      expect(await read(container, 'core/somaxconn')).toBe('501');
      expect(await read(container, 'ipv4/conf/eth0/tag')).toBe('2');
      expect(await read(container, 'ipv4/conf/all/tag')).toBe('3');
    },
  },
  {
    id: 'tuning-sysctl-twice',
    covers: ['I1'],
    title: 'refuses a configuration that has a sysctl twice',
    applies: only('tuning'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: tuned(trial, {}) });
      const twice = '"sysctl":{"net.ipv4.conf.eth0.tag":"1","net.ipv4.conf.eth0.tag":"2"}';
      const config = JSON.stringify({ ...container.config, prevResult: container.earlier });
      const stdin = config.replace(/\}$/, `,${twice}}`);
      expectError(await container.attempt('ADD', { stdin }));
      expect(await read(container, 'ipv4/conf/eth0/tag')).toBe('0');
    },
  },
  refused('foreign-sysctl', { sysctl: { 'kernel.hostname': 'x' } }),
  refused('path-sysctl', { sysctl: { 'net/../kernel/hostname': 'x' } }),
  refused('unknown-sysctl', { sysctl: { 'net.ipv4.no_such_thing': '1' } }),
  refused('mac', { mac: 'nonsense' }),
];
