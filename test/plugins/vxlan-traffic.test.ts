import { afterEach, describe, expect, test } from 'vitest';
import { requireKernel, requireTool } from '../support/needs.ts';
import { ping, startServer, whoSees } from '../support/traffic.ts';
import { createNodes, type NodePod, type Nodes } from './overlay-nodes.ts';

let nodes: Nodes | undefined;
afterEach(async () => {
  await nodes?.[Symbol.asyncDispose]();
  nodes = undefined;
});

const families = [4, 6] as const;

/** Every pod asks every other one: the receiver sees the sender's own address. */
const expectNoNat = async (pods: NodePod[]): Promise<void> => {
  for (const from of pods) {
    for (const to of pods) {
      if (from === to) continue;
      for (const family of families) {
        const seen = await whoSees(from.pod, to.attachment.address(family), 80);
        expect(`${to.pod.name} sees ${seen}`).toBe(`${to.pod.name} sees ${from.attachment.address(family)}`);
      }
    }
  }
};

describe.for([
  { attach: 'veth', underlay: [4] as (4 | 6)[], mode: 'vxlan' },
  { attach: 'bridge', underlay: [4] as (4 | 6)[], mode: 'vxlan' },
  { attach: 'veth', underlay: [6] as (4 | 6)[], mode: 'vxlan' },
  { attach: 'veth', underlay: [4, 6] as (4 | 6)[], mode: 'direct' },
  { attach: 'bridge', underlay: [4, 6] as (4 | 6)[], mode: 'cross-subnet' },
])('pods by $attach on three nodes, $mode over IPv$underlay', ({ attach, underlay, mode }) => {
  test('reach each other by their own addresses, and nodes reach all of them', async (context) => {
    requireKernel(context, 'vxlan', 'ipv6');
    requireTool(context, 'busybox', 'ping');
    nodes = await createNodes(3, { underlay });
    const config = nodes.config({ attach, mode, ipMasq: true });
    const pods: NodePod[] = [];
    for (const node of [1, 1, 2, 3]) pods.push(await nodes.attach(node, config));
    await Promise.all(pods.map(({ pod }) => startServer(pod, 80)));
    await expectNoNat(pods);
    for (const host of nodes.hosts) {
      for (const { attachment } of pods) {
        for (const family of families) {
          const address = attachment.address(family);
          expect(await ping(host, address), `${host.name} reaches ${address}`).toBe(true);
        }
      }
    }
    for (const { attachment } of pods) await attachment.check();
  }, 120_000);
});

/** The bytes of ICMP data that fill a packet of this size. */
const dataOf = (mtu: number, family: 4 | 6): number => mtu - (family === 4 ? 28 : 48);

/** One echo that must not be fragmented; what `ping` said and its exit code. */
const pingWhole = ({ pod }: NodePod, address: string, bytes: number) =>
  pod.attempt(['ping', '-n', '-c', '1', '-W', '2', '-M', 'do', '-s', String(bytes), address]);

describe.for([
  { underlay: 4 as const, mtu: 1500, left: 1450 },
  { underlay: 6 as const, mtu: 1500, left: 1430 },
  { underlay: 4 as const, mtu: 9000, left: 8950 },
])('pods over an IPv$underlay underlay with MTU $mtu', ({ underlay, mtu, left }) => {
  test('exchange full packets, and learn locally that one byte more is too much', async (context) => {
    requireKernel(context, 'vxlan', 'ipv6');
    requireTool(context, 'ping');
    nodes = await createNodes(2, { underlay: [underlay], mtu });
    const [a, b] = [await nodes.attach(1), await nodes.attach(2)];
    const inPod = a.attachment.result?.interfaces?.find(({ sandbox }) => sandbox);
    expect(inPod?.mtu).toBe(left);
    for (const family of families) {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const address = to.attachment.address(family);
        const whole = await pingWhole(from, address, dataOf(left, family));
        expect(whole.exitCode, whole.stdout + whole.stderr).toBe(0);
        const larger = await pingWhole(from, address, dataOf(left, family) + 1);
        expect(larger.exitCode).not.toBe(0);
        expect(larger.stdout + larger.stderr).toMatch(/message too long/i);
      }
    }
  }, 60_000);
});

describe.for([
  { vni: 1, port: 8472, keys: {} },
  { vni: 4242, port: 4789, keys: { vni: 4242, port: 4789 } },
])('what is on the wire with $keys', ({ vni, port, keys }) => {
  test('are VXLAN frames as anybody reads them', async (context) => {
    requireKernel(context, 'vxlan');
    requireTool(context, 'tcpdump', 'ping');
    nodes = await createNodes(2);
    const config = nodes.config(keys);
    const [a, b] = [await nodes.attach(1, config), await nodes.attach(2, config)];
    const filter = ['udp', 'and', 'dst', 'port', String(port), 'and', 'src', 'host', '198.51.100.1'];
    const capture = nodes
      .host(2)
      .start(['tcpdump', '-i', 'eth0', '-nn', '-c', '1', '-T', 'vxlan', '--immediate-mode', ...filter]);
    // Until tcpdump listens, and one frame after that.
    await Promise.race([
      capture.outcome,
      (async () => {
        for (let tries = 0; tries < 50; tries += 1) await ping(a.pod, b.attachment.address());
      })(),
    ]);
    const { stdout, stderr } = await capture.outcome;
    expect(stdout, stderr).toMatch(
      new RegExp(
        `IP 198\\.51\\.100\\.1\\.\\d+ > 198\\.51\\.100\\.2\\.${port}: VXLAN, flags \\[I\\] \\(0x08\\), vni ${vni}\\n`,
      ),
    );
    expect(stdout).toContain(`IP ${a.attachment.address()} > ${b.attachment.address()}: ICMP echo request`);
  }, 60_000);
});
