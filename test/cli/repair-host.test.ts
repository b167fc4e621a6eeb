import { afterAll, beforeAll, expect, test } from 'vitest';
import { intact, repair } from '../faults/repair-call.ts';
import { type Attachment, attachPod } from '../plugins/attachment.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';

const ipam = (net: number) => ({
  type: 'host-local',
  ranges: [[{ subnet: `10.${net}.0.0/24` }], [{ subnet: `fd${net}::/64` }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
});
const common = { cniVersion: '1.1.0', ipMasq: true };
const networks = {
  bridge: { ...common, type: 'bridge', name: 'bridged', isGateway: true, hairpinMode: true, ipam: ipam(60) },
  veth: { ...common, type: 'veth', name: 'routed', ipam: ipam(61) },
};
type Plugin = keyof typeof networks;

let host: TestHost;
/** Two of each. */
const pods: Record<Plugin, { pod: Pod; attachment: Attachment }[]> = { bridge: [], veth: [] };
beforeAll(async () => {
  expectPlugins(podwireBin, 'podwire', 'bridge', 'veth');
  host = await createHost({ name: 'repair-host' });
  for (const plugin of ['bridge', 'veth'] as const) {
    for (const number of [1, 2])
      pods[plugin].push(await attachPod(host, `${plugin}${number}`, networks[plugin]));
  }
});
afterAll(() => host?.dispose());

/** What is done to the host (`$P`: the first pod's host interface), and what is missing then. */
const damages: { plugin: Plugin; damage: string; found: RegExp }[] = [
  ...(['bridge', 'veth'] as const).map((plugin) => ({
    plugin,
    damage: 'ip link set $P down',
    found: /host interface "veth\S+" is down/,
  })),
  {
    plugin: 'bridge',
    damage: 'sysctl -qw net.ipv4.ip_forward=0',
    found: /does not forward IPv4 \(net\.ipv4\.ip_forward\)/,
  },
  { plugin: 'veth', damage: 'sysctl -qw net.ipv6.conf.all.forwarding=0', found: /does not forward IPv6/ },
  { plugin: 'bridge', damage: 'ip link set $P nomaster', found: /is no port of the bridge "cni0"/ },
  {
    plugin: 'bridge',
    damage: 'ip link add other type bridge; ip link set $P master other',
    found: /is no port of the bridge "cni0"/,
  },
  { plugin: 'bridge', damage: 'bridge link set dev $P hairpin off', found: /is not in hairpin mode/ },
  { plugin: 'bridge', damage: 'ip link set cni0 down', found: /bridge "cni0" is down/ },
  { plugin: 'bridge', damage: 'ip link del cni0', found: /bridge "cni0" is missing/ },
  { plugin: 'bridge', damage: 'ip addr flush dev cni0', found: /lacks the gateway address 10\.60\.0\.1\/24/ },
  { plugin: 'veth', damage: 'ip addr flush dev $P', found: /lacks the gateway address fd61::1\/128/ },
  { plugin: 'veth', damage: 'ip route flush dev $P', found: /no route to 10\.61\.0\.2\/32/ },
  { plugin: 'veth', damage: 'ip -6 route del fd61::2/128', found: /no route to fd61::2\/128/ },
];

// The kernel finishes IPv6 some time after a link came up; the other bridge is a stranger's.
const notOurs = [/^(link|addr|route) other/, /dev other/, / fe80:/, / ff00::/, /^route .*table local/];

test.for(damages)(
  'CHECK sees and podwire repair mends with $plugin: $damage',
  async ({ plugin, damage, found }, context) => {
    requireTool(context, 'ping');
    const [first, second] = pods[plugin];
    if (first === undefined || second === undefined) throw new Error(`no pods of ${plugin}`);
    const before = await snapshot(host);
    await host.shell(damage.replaceAll('$P', first.attachment.port));
    const { error } = await first.attachment.attempt('CHECK');
    expect(error).toMatchObject({ code: 105, details: expect.stringContaining('podwire repair') });
    const report = await repair(host);
    expect(report).toMatchObject({ exitCode: 0, failed: [], skipped: [], warnings: [] });
    expect(report.repaired.map(({ what }) => what).join('\n')).toMatch(found);
    for (const { attachment } of pods[plugin]) await attachment.check();
    expect(await repair(host)).toEqual(intact(4));
    expect(leftovers(before, await snapshot(host), notOurs)).toEqual(nothing);
    for (const address of second.attachment.addresses) {
      await expect.poll(() => ping(first.pod, address), { timeout: 10_000 }).toBe(true);
    }
  },
);
