import { expect } from 'vitest';
import { sendSctpInit } from '../../support/sctp.ts';
import { whoSees } from '../../support/traffic.ts';
import { askUdp, startUdpServer } from '../../support/udp.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Case } from '../suite/case.ts';
import { reaches, scenario, serving } from './portmap-traffic.ts';

/** Who reaches a container by a port of the host. */
export const portmapTrafficScenarios: readonly Case[] = [
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
];
