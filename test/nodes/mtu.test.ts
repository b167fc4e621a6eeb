import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireKernel } from '../support/needs.ts';
import { requireCapture, startCapture } from './lab/capture.ts';
import { createCluster, startAgents } from './lab/cluster.ts';
import { createLab, type Lab } from './lab/lab.ts';
import type { LabPod } from './lab/node.ts';
import type { UnderlayFamily } from './lab/plan.ts';

// Full-size packets, "don't fragment" set.
let lab: Lab | undefined;
beforeEach((context) => requireKernel(context, 'vxlan', 'ipv6'));
afterEach(() => lab?.dispose());

/** Bytes of IP and ICMP in front of ping's payload. */
const headers = (address: string): number => (address.includes(':') ? 48 : 28);

/** Bytes that VXLAN adds within the underlay's packets: inner Ethernet 14, VXLAN 8, UDP 8, outer IP 20 or 40. */
const overhead = { ipv4: 50, ipv6: 70 };

const pingOfSize = async (from: LabPod, address: string, mtu: number) =>
  from.pod.attempt([
    'ping',
    '-n',
    '-M',
    'do',
    '-i',
    '0.05',
    '-c',
    '3',
    '-W',
    '2',
    '-s',
    String(mtu - headers(address)),
    address,
  ]);

test.for<{ underlay: UnderlayFamily; mtu: number; args: string[]; expected: number }>([
  { underlay: 'ipv4', mtu: 1500, args: [], expected: 1500 - overhead.ipv4 },
  { underlay: 'ipv6', mtu: 1500, args: [], expected: 1500 - overhead.ipv6 },
  { underlay: 'ipv4', mtu: 9000, args: [], expected: 9000 - overhead.ipv4 },
  { underlay: 'ipv4', mtu: 1400, args: ['--mtu', '1300'], expected: 1300 },
])(
  'underlay $underlay of $mtu bytes, $args: pods send $expected bytes in one packet, both ways',
  async ({ underlay, mtu, args, expected }, context) => {
    requireCapture(context);
    lab = await createCluster({ segments: [0, 0], underlay, mtu, agentArgs: args, pods: 1 });
    const [a, b] = lab.nodes.flatMap(({ pods }) => pods) as [LabPod, LabPod];
    expect(lab.nodes.map((node) => node.state().mtu)).toEqual([expected, expected]);
    for (const { pod } of [a, b])
      expect(await pod.exec(['ip', 'link', 'show', 'eth0'])).toContain(`mtu ${expected} `);
    const capture = await startCapture(lab, 1, 'udp port 8472');
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(to.addresses).toHaveLength(2);
      for (const address of to.addresses) {
        const { exitCode, stdout } = await pingOfSize(from, address, expected);
        expect({ exitCode, stdout }).toMatchObject({
          exitCode: 0,
          stdout: expect.stringContaining(' 0% packet loss'),
        });
        const larger = await pingOfSize(from, address, expected + 1);
        expect(larger.exitCode).toBe(1);
        expect(larger.stdout + larger.stderr).toMatch(new RegExp(`mtu[ =:]+${expected}`, 'i'));
      }
    }
    const frames = await capture.stop();
    expect(frames.filter(({ fragment }) => fragment)).toEqual([]);
    expect(Math.max(...frames.map(({ length }) => length))).toBe(
      expected + overhead[underlay === 'ipv6' ? 'ipv6' : 'ipv4'],
    );
  },
);

test.for(['1451', '1500', '65535'])(
  'an MTU of %s is refused where the underlay has 1500 bytes',
  async (mtu) => {
    lab = await createLab({ segments: [0, 0], underlay: 'ipv4' });
    const outcome = await lab.node(1).attemptSync(['--mtu', mtu]);
    expect(outcome.exitCode).not.toBe(0);
    const said = outcome.stderr + outcome.stdout;
    expect(said).toContain(mtu);
    expect(said).toContain('1450');
    expect((await lab.node(1).host.attempt(['ip', 'link', 'show', 'pwvxlan1'])).exitCode).not.toBe(0);
  },
);

test('a smaller one is taken, on every node', async () => {
  lab = await createLab({ segments: [0, 0], underlay: 'ipv4', agentArgs: ['--mtu', '1280'] });
  await startAgents(lab.nodes);
  const pod = await lab.node(1).addPod('small');
  expect(await pod.pod.exec(['ip', 'link', 'show', 'eth0'])).toContain('mtu 1280');
});
