import { expect } from 'vitest';
import { requireTool } from '../../support/needs.ts';
import { snapshot } from '../../support/snapshot.ts';
import { whoSees } from '../../support/traffic.ts';
import { askUdp, startUdpServer } from '../../support/udp.ts';
import { type Case, only } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';
import { expectNothingLeft } from '../suite/leftovers.ts';
import { type Mapping, mapped, reaches, scenario, serving } from './portmap-traffic.ts';

/** Mappings of each protocol, with and without hostIP, and more than fit in one rule of iptables. */
const manyKinds: Mapping[] = [
  ...Array.from({ length: 20 }, (_, index) => ({ hostPort: 9000 + index })),
  { protocol: 'udp', hostIP: '198.51.100.1' },
  { protocol: 'sctp' },
];

/** The keys of portmap, and what it does when ports change hands. */
export const portmapScenarios: readonly Case[] = [
  scenario(
    'without-snat',
    'without snat 127.0.0.1 does not lead to it, and the outside does',
    async (trial, outside) => {
      await serving(trial, [{}], { snat: false });
      expect(await reaches(trial.host, '127.0.0.1')).toBe(false);
      expect(await reaches(outside.place, outside.hostAddresses[0])).toBe(true);
    },
  ),
  scenario(
    'masq-all',
    'with masqAll the container sees the host instead of the client',
    async (trial, outside) => {
      await serving(trial, [{}], { masqAll: true });
      expect(await whoSees(outside.place, outside.hostAddresses[0] ?? '', 8080)).toBe('169.254.1.1');
    },
  ),
  scenario('mark-bit', 'with another markMasqBit hairpins and 127.0.0.1 work', async (trial, outside) => {
    const { pod } = await serving(trial, [{}], { markMasqBit: 20 });
    expect(await reaches(pod, outside.hostAddresses[0])).toBe(true);
    expect(await reaches(trial.host, '127.0.0.1')).toBe(true);
  }),
  scenario(
    'external-mark-chain',
    'hairpins are masqueraded by the mark of an external chain',
    async (trial, outside) => {
      requireTool(trial.context, 'iptables', 'ip6tables');
      for (const tool of ['iptables', 'ip6tables']) {
        await trial.host.shell(`${tool} -t nat -N OTHER-MARK
        ${tool} -t nat -A OTHER-MARK -j MARK --or-mark 0x4000
        ${tool} -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE`);
      }
      const { pod } = await serving(trial, [{}], { externalSetMarkChain: 'OTHER-MARK', backend: 'iptables' });
      for (const address of outside.hostAddresses) expect(await reaches(pod, address)).toBe(true);
      const [, packets] =
        /\[(\d+):\d+\] -A POSTROUTING -m mark/.exec(
          await trial.host.exec(['iptables-save', '-c', '-t', 'nat']),
        ) ?? [];
      expect(Number(packets)).toBeGreaterThan(0);
    },
  ),
  scenario(
    'conditions-iptables',
    'conditions of iptables have to be met, for each family its own',
    async (trial, outside) => {
      requireTool(trial.context, 'iptables', 'ip6tables');
      const [, own6 = ''] = outside.addresses;
      await serving(trial, [{}], {
        conditionsV4: ['!', '-s', '198.51.100.0/24'],
        conditionsV6: ['-s', own6],
      });
      expect(await reaches(outside.place, outside.hostAddresses[0])).toBe(false);
      expect(await reaches(outside.place, outside.hostAddresses[1])).toBe(true);
      expect(await reaches(trial.host, '127.0.0.1')).toBe(true);
    },
  ),
  scenario(
    'conditions-nftables',
    'conditions of nftables have to be met, for each family its own',
    async (trial, outside) => {
      const [, own6 = ''] = outside.addresses;
      const conditionsV4 = ['ip', 'saddr', '!=', '198.51.100.0/24'];
      await serving(trial, [{}], { conditionsV4, conditionsV6: ['ip6', 'saddr', own6] });
      expect(await reaches(outside.place, outside.hostAddresses[0])).toBe(false);
      expect(await reaches(outside.place, outside.hostAddresses[1])).toBe(true);
      expect(await reaches(trial.host, '127.0.0.1')).toBe(true);
    },
  ),
  scenario(
    'many-ports',
    'more ports than one rule of iptables takes are all reached',
    async (trial, outside) => {
      const ports = Array.from({ length: 33 }, (_, index) => 9000 + 2 * index);
      await serving(
        trial,
        ports.map((hostPort) => ({ hostPort })),
      );
      for (const port of [9000, 9028, 9030, 9060, 9064])
        expect(await reaches(outside.place, outside.hostAddresses[0], port), `port ${port}`).toBe(true);
      expect(await reaches(outside.place, outside.hostAddresses[0], 9001)).toBe(false);
    },
  ),
  scenario(
    'udp-swap',
    'a UDP client that goes on sending reaches the next container',
    async (trial, outside) => {
      const mapping = { protocol: 'udp', containerPort: 53 };
      const [address = ''] = outside.hostAddresses;
      const ask = (): Promise<string | undefined> => askUdp(outside.place, address, 8080, 40_000);
      const first = await serving(trial, [mapping]);
      await startUdpServer(first.pod, 53, 'first');
      expect(await ask()).toBe('first');
      await first.del();
      // Nobody is there, and the kernel remembers where that went.
      await ask();
      const second = await serving(trial, [mapping]);
      await startUdpServer(second.pod, 53, 'second');
      expect(await ask()).toBe('second');
    },
  ),
  scenario(
    'same-port',
    'of two containers that ask for one port, the first has it until it goes',
    async (trial, outside) => {
      const [address = ''] = outside.hostAddresses;
      const udp = [{ protocol: 'udp', containerPort: 53 }];
      const first = await serving(trial, udp);
      await startUdpServer(first.pod, 53, 'first');
      const second = await trial.container({ config: trial.config(mapped(udp)), ipv6: true });
      await startUdpServer(second.pod, 53, 'second');
      const { exitCode } = await second.attempt('ADD');
      expect(await askUdp(outside.place, address, 8080)).toBe('first');
      await first.del();
      // Whether the second was refused is left to the plugin.
      if (exitCode !== 0) await second.add();
      expect(await askUdp(outside.place, address, 8080)).toBe('second');
    },
  ),
  scenario('check-flushed', 'CHECK sees that the rules are lost', async (trial) => {
    const container = await trial.container({ config: trial.config(mapped(manyKinds)) });
    await container.add();
    await container.check();
    await trial.host.exec(['nft', 'flush', 'ruleset']);
    expectError(await container.attempt('CHECK'));
  }),
  scenario('check-two-families', 'CHECK finds the rules of both families', async (trial) => {
    const container = await trial.container({ config: trial.config(mapped(manyKinds)), ipv6: true });
    await container.add();
    await container.check();
  }),
  scenario(
    'del-without-netns',
    'DEL after the netns is gone takes the ports away',
    async (trial, outside) => {
      const guest = await trial.container({ ipv6: true });
      await guest.add();
      await guest.del();
      const state = await snapshot(trial.host);
      for (const netns of ['', '/run/netns/gone']) {
        const container = await trial.container({ ipv6: true });
        await container.add();
        await container.pod.remove();
        await container.del({ netns });
      }
      expect(await reaches(outside.place, outside.hostAddresses[0], 8081)).toBe(false);
      await expectNothingLeft(trial, state);
    },
  ),
  ...Object.entries({
    'negative-port': mapped([{ hostPort: -1 }]),
    'port-too-high': mapped([{ hostPort: 65_536 }]),
    'no-container-port': mapped([{ containerPort: 0 }]),
    'mark-bit': mapped([{}], { markMasqBit: 32 }),
    'mark-bit-and-chain': mapped([{}], { markMasqBit: 5, externalSetMarkChain: 'OTHER-MARK' }),
  }).map(
    ([name, keys]): Case => ({
      id: `portmap-refuses-${name}`,
      covers: ['I1'],
      title: `refuses ${JSON.stringify(keys)}`,
      applies: only('portmap'),
      versions: 'newest',
      run: async (trial) => {
        const container = await trial.container({ config: trial.config(keys) });
        expectError(await container.attempt('ADD'));
      },
    }),
  ),
];
