import { expect } from 'vitest';
import { connectOutside, type Outside } from '../../support/links.ts';
import { requireTool } from '../../support/needs.ts';
import type { Place } from '../../support/pod.ts';
import { sendSctpInit } from '../../support/sctp.ts';
import { snapshot } from '../../support/snapshot.ts';
import { startServer, whoSees } from '../../support/traffic.ts';
import { askUdp, startUdpServer } from '../../support/udp.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Case, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError } from '../suite/expectations.ts';
import { expectNothingLeft } from '../suite/leftovers.ts';
import type { Trial } from '../suite/trial.ts';

/** A port mapping; 8080 to 80 by TCP unless said otherwise. */
interface Mapping {
  hostPort?: number;
  containerPort?: number;
  protocol?: string;
  hostIP?: string;
}

const mapped = (mappings: Mapping[], keys: Record<string, unknown> = {}): Record<string, unknown> => ({
  ...keys,
  runtimeConfig: {
    portMappings: mappings.map((mapping) => ({
      hostPort: 8080,
      containerPort: 80,
      protocol: 'tcp',
      ...mapping,
    })),
  },
});

/** The host's addresses to the outside, and theirs. */
const outsideOf = async ({ host, context }: Trial): Promise<Outside> => {
  requireTool(context, 'busybox');
  const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
  await waitUntil('the host has its IPv6 address', async () =>
    (await host.exec(['ip', '-6', 'route', 'show', 'table', 'local'])).includes(
      outside.hostAddresses[1] ?? '',
    ),
  );
  return outside;
};

/** A container with these mappings, behind which port 80 is served. */
const serving = async (
  trial: Trial,
  mappings: Mapping[],
  keys: Record<string, unknown> = {},
): Promise<Container> => {
  const container = await trial.container({ config: trial.config(mapped(mappings, keys)), ipv6: true });
  await container.add();
  await startServer(container.pod, 80);
  return container;
};

const scenario = (
  name: string,
  title: string,
  run: (trial: Trial, outside: Outside) => Promise<void>,
): Case => ({
  id: `portmap-${name}`,
  covers: [],
  title,
  applies: only('portmap'),
  versions: 'newest',
  run: async (trial) => run(trial, await outsideOf(trial)),
});

/** Mappings of each protocol, with and without hostIP, and more than fit in one rule of iptables. */
const manyKinds: Mapping[] = [
  ...Array.from({ length: 20 }, (_, index) => ({ hostPort: 9000 + index })),
  { protocol: 'udp', hostIP: '198.51.100.1' },
  { protocol: 'sctp' },
];

const reaches = async (from: Place, address: string | undefined, port = 8080): Promise<boolean> =>
  (await whoSees(from, address ?? '', port)) !== undefined;

/** What portmap does to packets. */
export const portmapScenarios: readonly Case[] = [
  scenario(
    'tcp',
    'a TCP port is reached from outside by both families, and the client is seen',
    async (trial, outside) => {
      const container = await serving(trial, [{}]);
      for (const [index, address] of outside.hostAddresses.entries())
        expect(await whoSees(outside.place, address, 8080)).toBe(outside.addresses[index]);
      await container.del();
      for (const address of outside.hostAddresses) expect(await reaches(outside.place, address)).toBe(false);
    },
  ),
  scenario('udp', 'a UDP port is reached from outside by both families', async (trial, outside) => {
    const container = await serving(trial, [{ protocol: 'udp', containerPort: 53 }]);
    await startUdpServer(container.pod, 53, 'answer');
    for (const address of outside.hostAddresses)
      expect(await askUdp(outside.place, address, 8080)).toBe('answer');
    // It is UDP alone.
    expect(await reaches(outside.place, outside.hostAddresses[0])).toBe(false);
  }),
  scenario('sctp', 'the packets of an SCTP port get to the container', async (trial, outside) => {
    const container = await serving(trial, [{ protocol: 'sctp', containerPort: 99 }]);
    await container.pod.exec(['nft', '-f', '-'], {
      stdin: 'table ip t { chain c { type filter hook prerouting priority -300; sctp dport 99 counter; }; }',
    });
    await sendSctpInit(outside.place, outside.hostAddresses[0] ?? '', 8080);
    await waitUntil('the packet is there', async () =>
      (await container.pod.exec(['nft', 'list', 'ruleset'])).includes('counter packets 1 '),
    );
  }),
  scenario('host-ip', 'with hostIP it is that address only', async (trial, outside) => {
    const [v4 = '', v6 = ''] = outside.hostAddresses;
    await trial.host.exec(['ip', 'addr', 'add', '198.51.100.9/24', 'dev', 'out0']);
    await serving(trial, [{ hostIP: v4 }]);
    expect(await reaches(outside.place, v4)).toBe(true);
    for (const other of ['198.51.100.9', v6]) expect(await reaches(outside.place, other)).toBe(false);
  }),
  scenario('host-ip-ipv6', 'with an IPv6 hostIP it is that address only', async (trial, outside) => {
    const [v4 = '', v6 = ''] = outside.hostAddresses;
    await serving(trial, [{ hostIP: v6 }]);
    expect(await reaches(outside.place, v6)).toBe(true);
    expect(await reaches(outside.place, v4)).toBe(false);
  }),
  scenario('host-ip-unspecified', 'a hostIP of 0.0.0.0 is every IPv4 address', async (trial, outside) => {
    const [v4 = '', v6 = ''] = outside.hostAddresses;
    await serving(trial, [{ hostIP: '0.0.0.0' }]);
    expect(await reaches(outside.place, v4)).toBe(true);
    expect(await reaches(outside.place, v6)).toBe(false);
  }),
  scenario(
    'one-port-two-addresses',
    'one port of two addresses leads to two containers',
    async (trial, outside) => {
      const [v4 = ''] = outside.hostAddresses;
      await trial.host.exec(['ip', 'addr', 'add', '198.51.100.9/24', 'dev', 'out0']);
      const udp = { protocol: 'udp', containerPort: 53 };
      const [a, b] = [
        await serving(trial, [{ ...udp, hostIP: v4 }]),
        await serving(trial, [{ ...udp, hostIP: '198.51.100.9' }]),
      ];
      await startUdpServer(a.pod, 53, 'a');
      await startUdpServer(b.pod, 53, 'b');
      expect(await askUdp(outside.place, v4, 8080)).toBe('a');
      expect(await askUdp(outside.place, '198.51.100.9', 8080)).toBe('b');
    },
  ),
  scenario('hairpin', 'a container reaches itself by the port of the host', async (trial, outside) => {
    const { pod } = await serving(trial, [{}]);
    for (const address of outside.hostAddresses) expect(await reaches(pod, address)).toBe(true);
  }),
  scenario('neighbour', 'another container reaches it by the port of the host', async (trial, outside) => {
    await serving(trial, [{}]);
    const { pod } = await trial.container({ ipv6: true });
    for (const address of outside.hostAddresses) expect(await reaches(pod, address)).toBe(true);
  }),
  scenario(
    'localhost',
    'the host reaches it by its own addresses, and by 127.0.0.1',
    async (trial, outside) => {
      await serving(trial, [{}]);
      for (const address of [...outside.hostAddresses, '127.0.0.1'])
        expect(await reaches(trial.host, address), address).toBe(true);
    },
  ),
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
