import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { type Attachment, attachPod } from './attachment.ts';

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.7.0.0/24' }], [{ subnet: 'fd07::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const common = { cniVersion: '1.1.0', name: 'checked', ipMasq: true, ipMasqBackend: 'nftables', ipam };
const bridge = { ...common, type: 'bridge', isGateway: true, hairpinMode: true };
const ptp = { ...common, type: 'ptp' };

/** A change made to a pod (`$A`: its address, `$A6`) or the host (`$P`: its end of the veth). */
interface Damage {
  pod?: string;
  host?: string;
  found: RegExp;
}

const podDamages: Damage[] = [
  { pod: 'ip link del eth0', found: /"eth0" is missing/ },
  { pod: 'ip link set eth0 down', found: /"eth0" is down/ },
  { pod: 'ip addr del $A/24 dev eth0', found: /lacks the address 10\.7\.0\.2\/24/ },
  { pod: 'ip addr del $A6/64 dev eth0', found: /lacks the address fd07::2\/64/ },
  { pod: 'ip route del default', found: /route to 0\.0\.0\.0\/0 .*missing/ },
  { pod: 'ip -6 route del default', found: /route to ::\/0 .*missing/ },
  { pod: 'ip link set eth0 address 02:00:00:00:00:aa', found: /"eth0" has MAC 02:00:00:00:00:aa/ },
  { pod: 'ip link del eth0; ip link add eth0 type veth peer name other', found: /host end .*missing/ },
  { pod: 'ip link del eth0; ip link add eth0 type bridge', found: /host end .*missing/ },
];
const hostDamages: Damage[] = [
  { host: 'ip link set $P down', found: /host interface "veth.*" is down/ },
  { host: 'ip link set $P address 02:00:00:00:00:bb', found: /"veth.*" has MAC 02:00:00:00:00:bb/ },
  { host: 'rm /var/lib/cni/networks/checked/$A', found: /10\.7\.0\.2/ },
  { host: 'echo other >/var/lib/cni/networks/checked/$A', found: /10\.7\.0\.2/ },
  { host: 'nft delete table inet podwire_masquerade', found: /packet filter/ },
  { host: 'nft flush chain inet podwire_masquerade postrouting', found: /packet filter/ },
  { host: 'nft delete element inet podwire_masquerade pods4 { $A }', found: /element 10\.7\.0\.2 .*missing/ },
  { host: 'nft delete element inet podwire_masquerade pods6 { $A6 }', found: /element fd07::2 .*missing/ },
];
const damages: { config: typeof bridge | typeof ptp; damage: Damage }[] = [
  ...podDamages.flatMap((damage) => [bridge, ptp].map((config) => ({ config, damage }))),
  ...hostDamages.flatMap((damage) => [bridge, ptp].map((config) => ({ config, damage }))),
  ...[
    { host: 'ip link set $P nomaster', found: /no port of the bridge "cni0"/ },
    { host: 'ip link add other type bridge; ip link set $P master other', found: /no port of the bridge/ },
    { host: 'ip link set cni0 down', found: /bridge "cni0" is down/ },
    { host: 'ip link set cni0 address 02:00:00:00:00:cc', found: /"cni0" has MAC 02:00:00:00:00:cc/ },
    { host: 'ip link del cni0', found: /bridge "cni0" is missing/ },
    { host: 'ip addr del 10.7.0.1/24 dev cni0', found: /lacks the gateway address 10\.7\.0\.1\/24/ },
    { host: 'ip addr del fd07::1/64 dev cni0', found: /lacks the gateway address fd07::1\/64/ },
    { host: 'bridge link set dev $P hairpin off', found: /not in hairpin mode/ },
  ].map((damage) => ({ config: bridge, damage })),
  ...[
    { host: 'ip addr del 10.7.0.1/32 dev $P', found: /lacks the gateway address 10\.7\.0\.1\/32/ },
    { host: 'ip route del $A/32', found: /no route to 10\.7\.0\.2\/32/ },
    { host: 'ip -6 route del $A6/128', found: /no route to fd07::2\/128/ },
  ].map((damage) => ({ config: ptp, damage })),
];

const titled = <T extends { config: { type: string }; damage: Damage }>(entry: T) => ({
  ...entry,
  title: `${entry.config.type}: ${entry.damage.pod ?? entry.damage.host}`,
});

describe('CHECK', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'check' });
  });
  afterEach(() => host.dispose());

  const inflict = async (attachment: Attachment, pod: Pod, damage: Damage): Promise<void> => {
    const fill = (script: string): string =>
      script
        .replaceAll('$A6', attachment.address(6))
        .replaceAll('$A', attachment.address())
        .replaceAll('$P', attachment.port);
    if (damage.pod !== undefined) await pod.shell(fill(damage.pod));
    if (damage.host !== undefined) await host.shell(fill(damage.host));
  };

  test.for(damages.map(titled))('$title', async ({ config, damage }, context) => {
    requireKernel(context, 'nftables');
    const { pod, attachment } = await attachPod(host, 'pod', config);
    await attachment.check();
    await inflict(attachment, pod, damage);
    expect(await attachment.finding()).toMatch(damage.found);
  });

  test('all that is wrong in one message', async () => {
    const { pod, attachment } = await attachPod(host, 'pod', bridge);
    await pod.shell('ip addr flush dev eth0');
    await host.shell(`ip link set ${attachment.port} nomaster; nft delete table inet podwire_masquerade`);
    const finding = await attachment.finding();
    for (const part of ['10.7.0.2/24', 'fd07::2/64', '0.0.0.0/0', 'no port of', 'packet filter']) {
      expect(finding).toContain(part);
    }
  });

  test('isolation that was taken from the port', async (context) => {
    requireKernel(context, 'bridge port isolation');
    const config = { ...bridge, hairpinMode: false, portIsolation: true };
    const { attachment } = await attachPod(host, 'pod', config);
    await attachment.check();
    await host.exec(['bridge', 'link', 'set', 'dev', attachment.port, 'isolated', 'off']);
    expect(await attachment.finding()).toContain('not isolated');
  });

  test('spoof check rules that are gone', async (context) => {
    requireKernel(context, 'nftables bridge family');
    const { attachment } = await attachPod(host, 'pod', { ...bridge, ipMasq: false, macspoofchk: true });
    await attachment.check();
    await host.exec(['nft', 'delete', 'table', 'bridge', 'podwire_spoof']);
    expect(await attachment.finding()).toContain('podwire_spoof');
  });

  test.for([bridge, ptp])('iptables rules that are gone: $type', async (config, context) => {
    requireTool(context, 'iptables', 'ip6tables');
    const { attachment } = await attachPod(host, 'pod', { ...config, ipMasqBackend: 'iptables' });
    await attachment.check();
    await host.shell('iptables -t nat -F');
    expect(await attachment.finding()).toContain('packet filter (iptables)');
  });
});
