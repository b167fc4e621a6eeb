import { expect } from 'vitest';
import { linkNames, linkOf } from '../../plugins/kernel-state.ts';
import type { PrintedResult } from '../../support/call-plugin.ts';
import { requireTool } from '../../support/needs.ts';
import type { Place } from '../../support/pod.ts';
import { throughput } from '../../support/throughput.ts';
import { type Case, from, only } from '../suite/case.ts';
import { earlierHostName } from '../suite/earlier-interface.ts';
import { expectError } from '../suite/expectations.ts';
import type { NetworkConfig, Trial } from '../suite/trial.ts';

const none = {
  ingressRate: undefined,
  ingressBurst: undefined,
  egressRate: undefined,
  egressBurst: undefined,
};

/** A configuration with these limits alone. */
const limited = (trial: Trial, limits: Record<string, number>, rest: object = {}): NetworkConfig => ({
  ...trial.config({ ...none, ...limits }),
  ...rest,
});

/** Without the empty `dns` that may be left out. */
const plain = (result: PrintedResult | undefined): object => ({ ...result, dns: undefined });

/** Rates of the token buckets at a device, in bits per second. */
const ratesOf = async (place: Place, device: string): Promise<number[]> => {
  const qdiscs = JSON.parse(await place.exec(['tc', '-j', 'qdisc', 'show', 'dev', device])) as {
    kind: string;
    options: { rate?: number };
  }[];
  return qdiscs.filter(({ kind }) => kind === 'tbf').map(({ options }) => (options.rate ?? 0) * 8);
};

/** What to do after ADD, and that CHECK sees it. */
const checked = (name: string, what: string, damage: (host: string, ifb: string) => string): Case => ({
  id: `bandwidth-check-${name}`,
  covers: ['C3'],
  title: `CHECK sees that ${what}`,
  applies: only('bandwidth'),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container();
    const { interfaces = [] } = await container.add();
    await container.check();
    await trial.host.shell(damage(earlierHostName(container.index), interfaces.at(-1)?.name ?? ''));
    expectError(await container.attempt('CHECK'));
  },
});

/** What bandwidth does. */
export const bandwidthScenarios: readonly Case[] = [
  {
    id: 'bandwidth-result',
    covers: ['A1', 'A3'],
    title: 'adds the device for the other direction to the result, and DEL takes it away',
    applies: only('bandwidth'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const container = await trial.container();
      const result = await container.add();
      const added = result.interfaces?.at(-1);
      const device = await linkOf(trial.host, added?.name ?? '');
      expect(device).toMatchObject({ address: added?.mac, linkinfo: { info_kind: 'ifb' } });
      expect(device.flags).toContain('UP');
      expect(plain({ ...result, interfaces: result.interfaces?.slice(0, -1) ?? [] })).toEqual(
        plain(container.earlier),
      );
      expect(await ratesOf(trial.host, earlierHostName(container.index))).toEqual([8_000_000]);
      expect(await ratesOf(trial.host, device.ifname)).toEqual([16_000_000]);
      await container.del();
      expect(await linkNames(trial.host)).not.toContain(device.ifname);
    },
  },
  {
    id: 'bandwidth-rate',
    covers: [],
    title: 'each direction gets its rate, to 15 %',
    applies: only('bandwidth'),
    versions: 'newest',
    run: async (trial) => {
      requireTool(trial.context, 'iperf3');
      const limits = { ingressRate: 20e6, ingressBurst: 400_000, egressRate: 40e6, egressBurst: 800_000 };
      const { host } = trial;
      const container = await trial.container({ config: limited(trial, limits) });
      await container.add();
      const [address = ''] = container.addresses;
      const [ingress, egress] = await Promise.all([
        throughput(host, container.pod, { address, port: 5201, seconds: 2 }),
        throughput(container.pod, host, { address: '169.254.1.1', port: 5202, seconds: 2 }),
      ]);
      expect(ingress / limits.ingressRate).toBeGreaterThan(0.85);
      expect(ingress / limits.ingressRate).toBeLessThan(1.15);
      expect(egress / limits.egressRate).toBeGreaterThan(0.85);
      expect(egress / limits.egressRate).toBeLessThan(1.15);
    },
  },
  {
    id: 'bandwidth-one-direction',
    covers: ['A3'],
    title: 'to the container alone it needs no device more',
    applies: only('bandwidth'),
    versions: 'newest',
    run: async (trial) => {
      const config = limited(trial, { ingressRate: 8_000_000, ingressBurst: 800_000 });
      const container = await trial.container({ config });
      const names = await linkNames(trial.host);
      expect(plain(await container.add())).toEqual(plain(container.earlier));
      expect(await linkNames(trial.host)).toEqual(names);
      expect(await ratesOf(trial.host, earlierHostName(container.index))).toEqual([8_000_000]);
      await container.check();
      await container.del();
    },
  },
  {
    id: 'bandwidth-capability',
    covers: [],
    title: 'takes the limits of the capability',
    applies: only('bandwidth'),
    versions: 'newest',
    run: async (trial) => {
      const bandwidth = { ingressRate: 4_000_000, ingressBurst: 400_000 };
      const config = limited(trial, {}, { runtimeConfig: { bandwidth } });
      const container = await trial.container({ config });
      await container.add();
      expect(await ratesOf(trial.host, earlierHostName(container.index))).toEqual([4_000_000]);
      await container.check();
    },
  },
  {
    id: 'bandwidth-own-before-capability',
    covers: [],
    title: 'limits of its own go before those of the capability',
    applies: only('bandwidth'),
    versions: 'newest',
    run: async (trial) => {
      const bandwidth = { ingressRate: 4_000_000, ingressBurst: 400_000 };
      const own = { ingressRate: 8_000_000, ingressBurst: 800_000 };
      const container = await trial.container({
        config: limited(trial, own, { runtimeConfig: { bandwidth } }),
      });
      await container.add();
      expect(await ratesOf(trial.host, earlierHostName(container.index))).toEqual([8_000_000]);
    },
  },
  {
    id: 'bandwidth-no-limits',
    covers: ['A3'],
    title: 'without limits it does nothing',
    applies: only('bandwidth'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: limited(trial, {}) });
      expect(plain(await container.add())).toEqual(plain(container.earlier));
      expect(await ratesOf(trial.host, earlierHostName(container.index))).toEqual([]);
      await container.del();
    },
  },
  {
    id: 'bandwidth-del-without-netns',
    covers: ['D3'],
    title: 'DEL after the netns is gone takes the device away',
    applies: only('bandwidth'),
    versions: 'newest',
    run: async (trial) => {
      const before = await linkNames(trial.host);
      for (const netns of ['', '/run/netns/gone']) {
        const container = await trial.container();
        await container.add();
        await container.pod.remove();
        await container.del({ netns });
      }
      const left = async (): Promise<string[]> =>
        (await linkNames(trial.host)).filter((name) => !before.includes(name) && !name.startsWith('veth'));
      expect(await left()).toEqual([]);
    },
  },
  checked('ifb', 'the device is gone', (_, ifb) => `ip link del ${ifb}`),
  checked('qdisc', 'the limit to the container is gone', (host) => `tc qdisc del dev ${host} root`),
  checked(
    'rate',
    'it is another limit',
    (host) => `tc qdisc change dev ${host} root tbf rate 1mbit burst 10k latency 25ms`,
  ),
  ...Object.entries({
    'burst-alone': { egressBurst: 800_000 },
    negative: { ingressRate: -8_000_000, ingressBurst: 800_000 },
  }).map(
    ([name, limits]): Case => ({
      id: `bandwidth-refuses-${name}`,
      covers: ['I1'],
      title: `refuses ${JSON.stringify(limits)}`,
      applies: only('bandwidth'),
      versions: 'newest',
      run: async (trial) => {
        const container = await trial.container({ config: limited(trial, limits) });
        expectError(await container.attempt('ADD'));
        expect(await ratesOf(trial.host, earlierHostName(container.index))).toEqual([]);
      },
    }),
  ),
];
