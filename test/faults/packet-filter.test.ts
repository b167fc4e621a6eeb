import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Attachment, attachPod } from '../plugins/attachment.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping, startServer, whoSees } from '../support/traffic.ts';
import { intact, repair } from './repair-call.ts';

const ipam = (net: number) => ({
  type: 'host-local',
  ranges: [[{ subnet: `10.${net}.0.0/24` }], [{ subnet: `fd${net}::/64` }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
});
const common = { cniVersion: '1.1.0', ipMasq: true, ipMasqBackend: 'nftables' };
const bridge = {
  ...common,
  type: 'bridge',
  name: 'bridged',
  isGateway: true,
  macspoofchk: true,
  ipam: ipam(40),
};
const veth = { ...common, type: 'veth', name: 'routed', ipam: ipam(41) };

let host: TestHost;
let outside: Outside;
let bridged: { pod: Pod; attachment: Attachment };
let routed: { pod: Pod; attachment: Attachment };

beforeAll(async () => {
  expectPlugins(podwireBin, 'podwire', 'bridge', 'veth');
  host = await createHost({ name: 'filter' });
  outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
  await startServer(outside.place, 80);
  bridged = await attachPod(host, 'bridged', bridge, { containerId: 'bridged' });
  routed = await attachPod(host, 'routed', veth, { containerId: 'routed' });
});
afterAll(() => host?.dispose());

/** How the outside sees both pods, by IPv4 and IPv6. */
const seen = (): Promise<(string | undefined)[]> =>
  Promise.all(
    [bridged, routed].flatMap(({ pod }) => outside.addresses.map((address) => whoSees(pod, address, 80))),
  );

/** Damages (`$P`: the bridged pod's host interface) and what CHECK and repair say of them. */
const masquerade = 'inet podwire_masquerade';
const spoof = 'bridge podwire_spoof';
const damages: { damage: string; found: RegExp; which: 'both' | 'bridged' | 'routed' }[] = [
  {
    damage: 'nft flush ruleset',
    found: /chain inet podwire_masquerade postrouting is missing/,
    which: 'both',
  },
  { damage: `nft delete table ${masquerade}`, found: /postrouting is missing/, which: 'both' },
  { damage: `nft flush table ${masquerade}`, found: /has other rules than podwire's/, which: 'both' },
  {
    damage: `nft flush chain ${masquerade} postrouting`,
    found: /postrouting has other rules/,
    which: 'both',
  },
  {
    damage: `nft flush chain ${masquerade} from-10.40.0.0/24`,
    found: /from-10\.40\.0\.0\/24 has other rules/,
    which: 'bridged',
  },
  {
    damage: `nft flush map ${masquerade} pods4`,
    found: /element 10\.4[01]\.0\.2 .*is missing/,
    which: 'both',
  },
  {
    damage: `nft delete element ${masquerade} pods6 '{ fd41::2 }'`,
    found: /element fd41::2 .*is missing/,
    which: 'routed',
  },
  {
    damage: `nft replace rule ${masquerade} from-10.40.0.0/24 handle $(nft -a list chain ${masquerade} from-10.40.0.0/24 |
      sed -n 's/.*masquerade comment.*handle //p') accept`,
    found: /from-10\.40\.0\.0\/24 has other rules/,
    which: 'bridged',
  },
  {
    damage: `nft insert rule ${masquerade} postrouting accept`,
    found: /postrouting has other rules/,
    which: 'both',
  },
  {
    damage: `nft add chain ${masquerade} postrouting '{ policy drop; }'`,
    found: /postrouting drops what it does not know/,
    which: 'both',
  },
  {
    damage: `nft add chain ${masquerade} other; nft add rule ${masquerade} other return
      nft delete element ${masquerade} pods4 '{ 10.40.0.2 }'
      nft add element ${masquerade} pods4 '{ 10.40.0.2 comment "bridged bridged eth0" : jump other }'`,
    found: /element 10\.40\.0\.2 .*has another value/,
    which: 'bridged',
  },
  {
    damage: `nft delete table ${spoof}`,
    found: /chain bridge podwire_spoof prerouting is missing/,
    which: 'bridged',
  },
  { damage: `nft flush chain ${spoof} prerouting`, found: /prerouting has other rules/, which: 'bridged' },
  { damage: `nft flush set ${spoof} macs`, found: /podwire_spoof macs is missing/, which: 'bridged' },
  { damage: `nft flush set ${spoof} ports`, found: /podwire_spoof ports is missing/, which: 'bridged' },
];

test.for(damages)(
  'CHECK sees and podwire repair mends: $damage',
  async ({ damage, found, which }, context) => {
    requireKernel(context, 'nftables', 'nftables bridge family');
    const before = await snapshot(host);
    await host.shell(damage);
    for (const { attachment } of [bridged, routed]) {
      const { error } = await attachment.attempt('CHECK');
      if (which !== 'both' && which !== attachment.containerId) {
        expect(error).toBeUndefined();
        continue;
      }
      expect(error?.code).toBe(105);
      expect(error?.details).toContain('podwire repair');
    }
    const wanted = await repair(host, ['--dry-run']);
    const report = await repair(host);
    expect(report).toMatchObject({ exitCode: 0, attachments: 2, failed: [], skipped: [], warnings: [] });
    expect(report.repaired.map(({ what }) => what).join('\n')).toMatch(found);
    expect(wanted).toMatchObject({ dryRun: true, repaired: report.repaired });
    for (const { attachment } of [bridged, routed]) await attachment.check();
    expect(await repair(host)).toEqual(intact(2));
    // A chain that a stranger made in our table is his.
    expect(leftovers(before, await snapshot(host), [/podwire_masquerade other( |$)/])).toEqual(nothing);
  },
);

test('a repaired pod is masqueraded again, and its spoofed frames are dropped', async (context) => {
  requireTool(context, 'busybox', 'ping');
  requireKernel(context, 'nftables', 'nftables bridge family');
  const masked = [...outside.hostAddresses, ...outside.hostAddresses];
  expect(await seen()).toEqual(masked);
  await host.exec(['nft', 'flush', 'ruleset']);
  expect(await ping(routed.pod, outside.addresses[0] ?? '')).toBe(false);
  expect((await repair(host)).exitCode).toBe(0);
  expect(await seen()).toEqual(masked);
  // What the pod has by now is not what it may have: a repair does not bless it.
  await bridged.pod.exec(['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:66']);
  await host.exec(['nft', 'flush', 'ruleset']);
  expect(await ping(bridged.pod, '10.40.0.1')).toBe(true);
  expect((await repair(host)).exitCode).toBe(0);
  expect(await ping(bridged.pod, '10.40.0.1')).toBe(false);
  const mac = bridged.attachment.result?.interfaces?.find(({ name }) => name === 'eth0')?.mac ?? '';
  await bridged.pod.exec(['ip', 'link', 'set', 'eth0', 'address', mac]);
  expect(await ping(bridged.pod, '10.40.0.1')).toBe(true);
});

test('where nothing is missing, nothing is written', async () => {
  const before = await snapshot(host);
  await host.shell(`
    nft monitor >/run/nft.log 2>&1 </dev/null & echo $! >/run/monitors
    ip monitor address route >/run/ip.log 2>&1 </dev/null & echo $! >>/run/monitors
    sleep 0.5; nft add table inet before`);
  expect(await repair(host)).toEqual(intact(2));
  await host.shell('nft add table inet after; sleep 0.5; kill $(cat /run/monitors)');
  const linesOf = async (file: string): Promise<string[]> => (await host.exec(['cat', file])).split('\n');
  const changes = (await linesOf('/run/nft.log')).filter((line) => /^(add|delete)/.test(line));
  expect(changes).toEqual(['add table inet before', 'add table inet after']);
  // The kernel tells of links by itself, too: of them the snapshot has to do.
  expect((await linesOf('/run/ip.log')).filter((line) => line !== '')).toEqual([]);
  expect(leftovers(before, await snapshot(host), [/^nft table inet (before|after)$/])).toEqual(nothing);
});
