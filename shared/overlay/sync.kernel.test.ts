import { beforeEach, describe, expect, test } from 'vitest';
import { runCommand } from '../kernel/command.ts';
import { startCommand } from '../kernel/running-command.ts';
import { readSysctl, writeSysctl } from '../kernel/sysctl.ts';
import { ip, requireNamespaces } from '../kernel/test-netns.ts';
import { removeFromKernel } from './remove.ts';
import { enableOverlayForwarding } from './sysctls.ts';
import { createHosts, output, reaches, sync, type TestHost, troubles } from './test-hosts.ts';
import type { OverlayNode, OverlaySettings } from './types.ts';
import { vtepMac } from './vtep.ts';

let hosts: [TestHost, TestHost, TestHost];
beforeEach(async (context) => {
  requireNamespaces(context);
  const created = await createHosts(3);
  const [a, b, c] = created;
  if (a === undefined || b === undefined || c === undefined) throw new Error('three hosts were asked for');
  hosts = [a, b, c];
  return () => created.close();
});

const nodes = (): OverlayNode[] => hosts.map(({ node }) => node);
const syncAll = (settings: Partial<OverlaySettings> = {}) =>
  hosts.map((host) => sync(host, nodes(), settings));
const nothing = { vtep: false, added: 0, replaced: 0, removed: 0 };

/** What of pods and hosts cannot reach which pod of another host. */
const unreached = (): string[] =>
  hosts.flatMap((from) =>
    hosts
      .filter((other) => other !== from)
      .flatMap((to) =>
        to.podAddresses.flatMap((address) => [
          ...(reaches(from.pod, address) ? [] : [`pod of ${from.node.name} → ${address}`]),
          ...(reaches(from.host, address) ? [] : [`${from.node.name} → ${address}`]),
        ]),
      ),
  );

/** Tables of a host without what changes by itself. */
const tables = ({ host }: TestHost): string =>
  [
    output(host, 'ip', 'route', 'show', 'table', 'all'),
    output(host, 'ip', 'neigh', 'show', 'nud', 'permanent'),
    output(host, 'bridge', 'fdb', 'show', 'dev', 'pwvxlan1'),
    output(host, 'ip', '-o', 'address', 'show', 'dev', 'pwvxlan1').replace(/^\d+/gm, ''),
  ]
    .flatMap((text) => text.split('\n'))
    // The kernel makes these by itself, for IPv6 some time after the address.
    .filter((line) => !line.includes('table local'))
    .sort()
    .join('\n');

describe('a sync lets all pods and hosts reach all pods', () => {
  test.for<[string, (n: number) => Partial<OverlaySettings>]>([
    ['encapsulated', () => ({})],
    ['encapsulated over IPv6', (n) => ({ underlay: `2001:db8::${n}` })],
    ['routed directly', () => ({ mode: 'direct' })],
    ['routed directly where they can', () => ({ mode: 'cross-subnet' })],
  ])('%s, and a second one changes nothing', ([, settingsOf]) => {
    const run = () => hosts.map((host, index) => sync(host, nodes(), settingsOf(index + 1)));
    expect(run().flatMap(troubles)).toEqual([]);
    expect(unreached()).toEqual([]);
    expect(run().map(({ changes }) => changes)).toEqual([nothing, nothing, nothing]);
  });

  test('in full size', () => {
    syncAll();
    const [{ pod }, { podAddresses }] = hosts;
    for (const address of podAddresses) {
      expect(reaches(pod, address, 1450)).toBe(true);
      expect(reaches(pod, address, 1451)).toBe(false);
    }
  });

  test('and the receiver sees the sender’s own address', () => {
    syncAll();
    const [from, to] = hosts;
    // The receiver has no way back but to that very address.
    ip(to.pod, 'route del default', 'route del default via fe80::1 dev eth0');
    ip(
      to.pod,
      ...from.podAddresses.map(
        (address) => `route add ${address} via ${address.includes(':') ? 'fe80::1' : '169.254.1.1'} dev eth0`,
      ),
    );
    for (const address of to.podAddresses) {
      expect(reaches(from.pod, address)).toBe(true);
      expect(reaches(from.host, address)).toBe(false);
    }
  });

  test('also where a bridge of pods has the subnet-router anycast address', () => {
    for (const [index, { host, pod }] of hosts.entries()) {
      const n = index + 1;
      ip(
        host,
        'link del pod',
        'link add cni0 mtu 1450 up type bridge',
        `link add port0 mtu 1450 master cni0 up type veth peer name eth0 netns ${pod.reference}`,
        `address add 10.244.${n}.1/24 dev cni0`,
        `address add fd00:244:${n}::1/64 dev cni0 nodad`,
      );
      ip(
        pod,
        'link set eth0 mtu 1450 up',
        `address add 10.244.${n}.5/24 dev eth0`,
        `address add fd00:244:${n}::5/64 dev eth0 nodad`,
        `route add default via 10.244.${n}.1`,
        `route add default via fd00:244:${n}::1`,
      );
    }
    syncAll();
    expect(hosts.map(({ host }) => readSysctlIn(host, 'net/ipv6/conf/cni0/forwarding'))).toEqual([
      '1',
      '1',
      '1',
    ]);
    expect(output(hosts[0].host, 'ip', '-6', 'route', 'show', 'table', 'local')).toContain(
      'anycast fd00:244:1::',
    );
    expect(unreached()).toEqual([]);
  });

  test('and from one mode to another', () => {
    for (const mode of ['vxlan', 'direct', 'cross-subnet', 'vxlan'] as const) {
      expect(syncAll({ mode }).flatMap(troubles)).toEqual([]);
      expect([mode, unreached()]).toEqual([mode, []]);
    }
    expect(output(hosts[0].host, 'ip', 'route', 'show', 'dev', 'eth0', 'proto', '112')).toBe('');
  });
});

const readSysctlIn = (host: TestHost['host'], name: string) => host.run(() => readSysctl(name));

describe('one sync repairs', () => {
  const faults: [string, string[]][] = [
    ['a deleted VTEP', ['ip link del pwvxlan1']],
    ['its MAC', ['ip link set pwvxlan1 address 02:00:00:00:00:09']],
    ['its MTU', ['ip link set pwvxlan1 mtu 1300']],
    ['its link state', ['ip link set pwvxlan1 down']],
    ['what it sends from', ['ip link set pwvxlan1 type vxlan local 198.51.100.77']],
    ['that it learns', ['ip link set pwvxlan1 type vxlan learning']],
    ['that it is a port of a bridge', ['ip link add brx type bridge', 'ip link set pwvxlan1 master brx']],
    [
      'another port and VNI',
      ['ip link del pwvxlan1', 'ip link add pwvxlan1 type vxlan id 9 dstport 4789 local 198.51.100.1'],
    ],
    ['its addresses', ['ip address flush dev pwvxlan1', 'ip address add 192.0.2.1/24 dev pwvxlan1']],
    ['deleted routes', ['ip route flush proto 112', 'ip -6 route flush proto 112']],
    ['deleted neighbours', ['ip neigh flush dev pwvxlan1 nud permanent']],
    ['deleted FDB entries', [`bridge fdb del ${vtepMac('node-2')} dev pwvxlan1 dst 198.51.100.2`]],
    [
      'changed routes',
      [
        'ip route replace 10.244.2.0/24 via 10.244.3.0 dev pwvxlan1 onlink proto 112',
        'ip -6 route replace fd00:244:2::/64 via 2001:db8::3 dev eth0 proto 112',
      ],
    ],
    ['a blackhole of ours', ['ip route replace blackhole 10.244.2.0/24 proto 112']],
    [
      'changed neighbours',
      [
        'ip neigh replace 10.244.2.0 lladdr 02:00:00:00:00:07 dev pwvxlan1 nud permanent',
        'ip neigh replace 10.244.3.0 lladdr 02:00:00:00:00:07 dev pwvxlan1 nud reachable',
      ],
    ],
    [
      'changed FDB entries',
      [
        `bridge fdb replace ${vtepMac('node-2')} dev pwvxlan1 dst 198.51.100.3`,
        `bridge fdb append ${vtepMac('node-2')} dev pwvxlan1 dst 198.51.100.9 port 4789`,
        `bridge fdb append ${vtepMac('node-3')} dev pwvxlan1 dst 198.51.100.8`,
      ],
    ],
    [
      'planted entries',
      [
        'ip route add 10.9.0.0/16 dev pwvxlan1',
        'ip route add 10.244.2.0/24 via 10.244.3.0 dev pwvxlan1 onlink metric 7',
        'ip route append 10.244.2.0/24 via 10.244.3.0 dev pwvxlan1 onlink',
        'ip route add 10.8.0.0/16 via 198.51.100.9 dev eth0 proto 112 table 100',
        'ip -6 route add blackhole fd00:8::/64 proto 112',
        'ip -6 route add fd00:9::/64 proto 112 nexthop via fe80::7 dev pwvxlan1 nexthop via fe80::8 dev eth0',
        'ip neigh add 10.9.9.9 lladdr 02:00:00:00:00:09 dev pwvxlan1 nud permanent',
        'ip neigh add fd00::9 lladdr 02:00:00:00:00:09 dev pwvxlan1 nud stale',
        'bridge fdb add 02:00:00:00:00:09 dev pwvxlan1 dst 198.51.100.9',
        'bridge fdb append 00:00:00:00:00:00 dev pwvxlan1 dst 198.51.100.9',
      ],
    ],
    ['IPv6 switched off', ['sysctl -qw net.ipv6.conf.pwvxlan1.disable_ipv6=1']],
  ];

  test.for(faults)('%s', ([, commands]) => {
    syncAll();
    const [host] = hosts;
    const before = tables(host);
    for (const command of commands)
      expect([command, output(host.host, ...command.split(' '))]).toEqual([command, '']);
    expect(troubles(sync(host, nodes()))).toEqual([]);
    expect(tables(host)).toBe(before);
    expect(unreached()).toEqual([]);
    expect(sync(host, nodes()).changes).toEqual(nothing);
  });
});

describe('when the nodes change', () => {
  test('one leaves: nothing of it stays', () => {
    const [first, second] = hosts;
    sync(first, [first.node, second.node]);
    const before = tables(first);
    sync(first, nodes());
    expect(tables(first)).not.toBe(before);
    expect(sync(first, [first.node, second.node]).changes).toEqual({ ...nothing, removed: 5 });
    expect(tables(first)).toBe(before);
  });

  test('one has another address', () => {
    syncAll();
    const [, second] = hosts;
    ip(second.host, 'address add 198.51.100.22/24 dev eth0', 'address del 198.51.100.2/24 dev eth0');
    ip(second.host, 'address replace 198.51.100.22/24 dev eth0');
    second.node = { ...second.node, addresses: ['198.51.100.22'] };
    expect(sync(hosts[0], nodes()).changes).toEqual({ ...nothing, replaced: 1 });
    syncAll();
    expect(unreached()).toEqual([]);
  });

  test('two swap their ranges', () => {
    syncAll();
    const [, second, third] = hosts;
    [second.node, third.node] = [
      { ...second.node, podCIDRs: third.node.podCIDRs },
      { ...third.node, podCIDRs: second.node.podCIDRs },
    ];
    for (const [{ host, pod }, from, to] of [
      [second, 2, 3],
      [third, 3, 2],
    ] as const) {
      ip(host, `route del 10.244.${from}.5/32 dev pod`, `route del fd00:244:${from}::5/128 dev pod`);
      ip(host, `route add 10.244.${to}.5/32 dev pod`, `route add fd00:244:${to}::5/128 dev pod`);
      ip(pod, `address add 10.244.${to}.5/32 dev eth0`, `address add fd00:244:${to}::5/128 dev eth0 nodad`);
      // Without any address the pod would lose its routes.
      ip(pod, `address del 10.244.${from}.5/32 dev eth0`, `address del fd00:244:${from}::5/128 dev eth0`);
    }
    [second.podAddresses, third.podAddresses] = [third.podAddresses, second.podAddresses];
    expect(syncAll().flatMap(troubles)).toEqual([]);
    expect(unreached()).toEqual([]);
  });

  test('a ping between two that stay loses nothing', async () => {
    syncAll();
    const [first, second, third] = hosts;
    const pings = second.podAddresses.map((address) =>
      first.pod.run(() => startCommand('ping', ['-n', '-q', '-i', '0.02', '-c', '60', '-W', '2', address])),
    );
    for (let round = 0; round < 8; round += 1) {
      const moved = { ...third.node, addresses: [`198.51.100.${100 + round}`] };
      sync(first, round % 2 === 0 ? [first.node, second.node] : [moved, second.node]);
      sync(second, round % 2 === 0 ? [first.node, moved] : [first.node]);
      await Bun.sleep(1);
    }
    for (const ping of pings) expect((await ping.result()).stdout).toContain(' 60 received, 0% packet loss');
  });
});

describe('what is not ours', () => {
  test('is left alone', () => {
    const [{ host }] = hosts;
    ip(
      host,
      'route add 10.77.0.0/16 via 198.51.100.9 dev eth0',
      'route add 10.78.0.0/16 via 198.51.100.9 dev eth0 proto static',
      'route add 10.244.2.0/24 via 198.51.100.9 dev eth0 metric 9',
      'route add fd00:77::/64 via 2001:db8::9 dev eth0',
      'neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent',
      'link add pwvxlan7 type vxlan id 7 dstport 8472 local 198.51.100.1',
      'link set pwvxlan7 up',
      'route add 10.79.0.0/16 dev pwvxlan7 proto 112',
    );
    const before = tables(hosts[0]).replace(/^Cannot find.*\n|^Device.*\n/gm, '');
    syncAll();
    expect(unreached()).toEqual([]);
    host.run(() => removeFromKernel('pwvxlan1'));
    expect(tables(hosts[0]).replace(/^Cannot find.*\n|^Device.*\n/gm, '')).toBe(before);
    // It is gone already.
    host.run(() => removeFromKernel('pwvxlan1'));
  });

  test('a route to a peer’s prefix is kept, and told of; the other peers are reached', () => {
    const [first] = hosts;
    ip(first.host, 'route add 10.244.2.0/24 via 198.51.100.9 dev eth0', 'link add cnix type bridge');
    ip(first.host, 'link set cnix up', 'route add fd00:244:2::/64 dev cnix');
    const applied = sync(first, nodes());
    expect(Object.fromEntries(applied.refused)).toEqual({
      '10.244.2.0/24':
        'a route to 10.244.2.0/24 is there that is not ours (via 198.51.100.9 dev eth0 proto 3)',
      'fd00:244:2::/64': 'a route to fd00:244:2::/64 is there that is not ours (dev cnix proto 3)',
    });
    sync(hosts[2], nodes());
    expect(reaches(first.host, '10.244.3.5')).toBe(true);
    ip(first.host, 'route del 10.244.2.0/24 via 198.51.100.9', 'link del cnix');
    expect(sync(first, nodes()).changes).toEqual({ ...nothing, added: 2 });
  });

  test('a device of the VTEP’s name stops the sync', () => {
    ip(hosts[0].host, 'link add pwvxlan1 type bridge');
    expect(() => sync(hosts[0], nodes())).toThrow(
      'the name "pwvxlan1" of the VTEP is taken by a bridge device',
    );
    hosts[0].host.run(() => removeFromKernel('pwvxlan1'));
    expect(output(hosts[0].host, 'ip', '-br', 'link', 'show', 'pwvxlan1')).toContain('pwvxlan1');
  });

  test('a device with the same VNI and port is named', () => {
    ip(hosts[0].host, 'link add flannel.1 type vxlan id 1 dstport 8472 local 198.51.100.1');
    expect(() => sync(hosts[0], nodes())).toThrow(
      'the device "flannel.1" has VNI 1 on UDP port 8472 already',
    );
    expect(sync(hosts[0], nodes(), { port: 4789 }).changes.vtep).toBe(true);
  });
});

test('forwarding does not cost the routes that were learnt from a router', () => {
  const [{ host }] = hosts;
  const accepted = (device: string) => readSysctlIn(host, `net/ipv6/conf/${device}/accept_ra`);
  ip(host, 'link add other type veth peer name far', 'link set other up', 'link set far up');
  ip(host, 'route add default via fe80::9 dev other proto ra', 'link add third type bridge');
  host.run(() => writeSysctl('net/ipv6/conf/third/accept_ra', '1'));
  expect([accepted('eth0'), accepted('other')]).toEqual(['1', '1']);
  host.run(() => enableOverlayForwarding([4, 6], 'eth0'));
  expect([accepted('eth0'), accepted('other'), accepted('third')]).toEqual(['2', '2', '1']);
  expect(readSysctlIn(host, 'net/ipv6/conf/all/forwarding')).toBe('1');
  expect(output(host, 'ip', '-6', 'route', 'show', 'default')).toContain('via fe80::9');
  expect(host.run(() => enableOverlayForwarding([4, 6], 'eth0'))).toEqual([]);
});

test('a packet whose sender is reached over another device is taken, although rp_filter is strict', () => {
  const [first, second] = hosts;
  second.host.run(() => writeSysctl('net/ipv4/conf/all/rp_filter', '1'));
  syncAll();
  const ping = ['-n', '-c', '1', '-W', '2', '-I', '198.51.100.1', '10.244.2.5'];
  expect(first.host.run(() => runCommand('ping', ping)).stdout).toContain('1 received');
});
