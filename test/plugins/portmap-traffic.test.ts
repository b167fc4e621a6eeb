import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lackingKernel, lackingTools, skipFor } from '../support/needs.ts';
import { sendSctpInit } from '../support/sctp.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { askUdp, startUdpServer } from '../support/udp.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createPortmapHost, GATEWAYS, type PortmapHost, type Published } from './portmap-host.ts';

const backends = [
  { backend: 'nftables', feature: 'nftables' },
  { backend: 'iptables', feature: 'iptables (nft)' },
] as const;

describe.each(backends)('host ports by $backend', ({ backend, feature }) => {
  const lacking = lackingTools('busybox', 'iptables', 'nft') ?? lackingKernel(feature);
  let host: PortmapHost;
  let served: Published;
  let other: Published;
  let host4: string;
  let host6: string;

  beforeEach((context) => {
    if (lacking !== undefined) context.skip(lacking);
  });

  beforeAll(async () => {
    if (lacking !== undefined) return;
    host = await createPortmapHost();
    [host4 = '', host6 = ''] = host.outside.hostAddresses;
    const many = Array.from({ length: 17 }, (_, index) => ({ hostPort: 9001 + index, containerPort: 80 }));
    served = await host.publish(
      'served',
      [
        { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
        { hostPort: 8053, containerPort: 53, protocol: 'udp' },
        { hostPort: 8132, containerPort: 132, protocol: 'sctp' },
        { hostPort: 8081, containerPort: 80, hostIP: host4 },
        { hostPort: 8081, containerPort: 80, hostIP: host6 },
        { hostPort: 8082, containerPort: 80, hostIP: '0.0.0.0' },
        { hostPort: 8083, containerPort: 80, hostIP: '::' },
        { hostPort: 8084, containerPort: 80, hostIP: '127.0.0.1' },
        ...many,
      ],
      { portmap: { backend } },
    );
    other = await host.publish('other', [], { portmap: { backend } });
    await startServer(served.pod, 80);
    await startUdpServer(served.pod, 53, 'served');
    await host.host.exec(['ip', 'addr', 'add', '198.51.100.11/24', 'dev', 'out0']);
    await host.check(served);
  });

  afterAll(() => host?.dispose());

  test('an outside client gets through, and is seen as itself', async () => {
    expect(await whoSees(host.outside.place, host4, 8080)).toBe(host.outside.addresses[0]);
    expect(await whoSees(host.outside.place, host6, 8080)).toBe(host.outside.addresses[1]);
  });

  test('by UDP', async () => {
    for (const from of [host.outside.place, other.pod, served.pod, host.host]) {
      for (const address of [host4, host6]) expect(await askUdp(from, address, 8053)).toBe('served');
    }
    expect(await askUdp(host.host, '127.0.0.1', 8053)).toBe('served');
    expect(await askUdp(host.outside.place, host4, 8080)).toBeUndefined();
  });

  test('by SCTP', async () => {
    const counters =
      'table inet t { chain c { type filter hook prerouting priority -300; sctp dport 132 counter; }; }';
    await served.pod.exec(['nft', '-f', '-'], { stdin: counters });
    const arrived = async (): Promise<number> =>
      Number(/counter packets (\d+)/.exec(await served.pod.exec(['nft', 'list', 'ruleset']))?.[1]);
    await sendSctpInit(host.outside.place, host4, 8133);
    await sendSctpInit(host.outside.place, host4, 8132);
    await waitUntil('the packet is there', async () => (await arrived()) === 1);
  });

  test('the host reaches it by its own addresses and by 127.0.0.1', async () => {
    expect(await whoSees(host.host, host4, 8080)).toBe(host4);
    expect(await whoSees(host.host, host6, 8080)).toBe(host6);
    expect(await whoSees(host.host, '127.0.0.1', 8080)).toBe(GATEWAYS[0]);
    expect(await whoSees(host.host, '127.0.0.1', 8084)).toBe(GATEWAYS[0]);
  });

  test('another pod, and the pod itself, get through with the address of the bridge', async () => {
    for (const { pod } of [other, served]) {
      expect(await whoSees(pod, host4, 8080)).toBe(GATEWAYS[0]);
      expect(await whoSees(pod, host6, 8080)).toBe(GATEWAYS[1]);
    }
    expect(await whoSees(other.pod, served.addresses[0], 80)).toBe(other.addresses[0]);
  });

  test('a port with a host address is there and nowhere else', async () => {
    const { place } = host.outside;
    expect(await whoSees(place, host4, 8081)).toBeDefined();
    expect(await whoSees(place, host6, 8081)).toBeDefined();
    expect(await whoSees(place, '198.51.100.11', 8081)).toBeUndefined();
    expect(await whoSees(place, host4, 8084)).toBeUndefined();
  });

  test('an unspecified host address is any of its family', async () => {
    const { place } = host.outside;
    expect(await whoSees(place, host4, 8082)).toBeDefined();
    expect(await whoSees(place, '198.51.100.11', 8082)).toBeDefined();
    expect(await whoSees(place, host6, 8082)).toBeUndefined();
    expect(await whoSees(place, host6, 8083)).toBeDefined();
    expect(await whoSees(place, host4, 8083)).toBeUndefined();
  });

  test('more ports than a multiport rule takes', async () => {
    expect(await whoSees(host.outside.place, host4, 9001)).toBeDefined();
    expect(await whoSees(host.outside.place, host6, 9017)).toBeDefined();
  });

  test('what goes through the host to the same port elsewhere is left alone', async () => {
    await startServer(host.outside.place, 8080);
    expect(await whoSees(other.pod, host.outside.addresses[0] ?? '', 8080)).toBe(host4);
  });

  test('::1 is refused at once, not lost', async (context) => {
    skipFor(context, backend === 'iptables' ? 'the reference’s chains have no exception for ::1' : undefined);
    const { stdout } = await host.host.attempt(['sh', '-c', 'busybox wget -O - http://[::1]:8080/ 2>&1']);
    expect(stdout).toContain('Connection refused');
  });

  test('no pod reaches what listens on 127.0.0.1 of the host', async (context) => {
    skipFor(context, backend === 'iptables' ? 'the reference’s chains do not see to it' : undefined);
    await startServer(host.host, 7070);
    const intruder = await host.publish('intruder', [], { portmap: { backend } });
    // The pod's own kernel must let such packets out, and its answers in.
    await intruder.pod.shell(`
      for name in all eth0; do echo 1 >/proc/sys/net/ipv4/conf/$name/route_localnet; done
      ip addr del 127.0.0.1/8 dev lo 2>/dev/null || true
      ip route add 127.0.0.1 via 10.85.0.1`);
    expect(await whoSees(intruder.pod, '127.0.0.1', 7070)).toBeUndefined();
    await host.host.exec(['nft', 'flush', 'chain', 'inet', 'podwire_portmap', 'martians']);
    expect(await whoSees(intruder.pod, '127.0.0.1', 7070)).toBe(intruder.addresses[0]);
    const { error } = await host.portmap('CHECK', served.chain, served.result);
    expect(error?.msg).toContain('chain inet podwire_portmap martians has other rules');
    // The next ADD of the same pod mends it.
    expect((await host.portmap('ADD', served.chain, served.result)).exitCode).toBe(0);
    await host.check(served);
    expect(await whoSees(intruder.pod, '127.0.0.1', 7070)).toBeUndefined();
  });

  test('masqAll hides every client', async () => {
    const hidden = await host.publish('hidden', [{ hostPort: 8090, containerPort: 80 }], {
      portmap: { backend, masqAll: true, markMasqBit: 5 },
    });
    await startServer(hidden.pod, 80);
    expect(await whoSees(host.outside.place, host4, 8090)).toBe(GATEWAYS[0]);
    expect(await whoSees(host.outside.place, host6, 8090)).toBe(GATEWAYS[1]);
    expect(await whoSees(host.host, '127.0.0.1', 8090)).toBe(GATEWAYS[0]);
    // Past the host port nobody is hidden.
    expect(await whoSees(other.pod, hidden.addresses[0], 80)).toBe(other.addresses[0]);
    await host.check(hidden);
    await host.del(hidden);
    expect(await whoSees(host.outside.place, host4, 8090)).toBeUndefined();
    expect(await whoSees(host.outside.place, host4, 8080)).toBeDefined();
  });

  test('a mark of its own', async () => {
    const marked = await host.publish('marked', [{ hostPort: 8091, containerPort: 80 }], {
      portmap: { backend, markMasqBit: 7 },
    });
    await startServer(marked.pod, 80);
    const rules = await host.host.exec(['nft', 'list', 'ruleset']);
    expect(rules).toMatch(/meta mark & 0x0*80 == 0x0*80/);
    expect(await whoSees(marked.pod, host4, 8091)).toBe(GATEWAYS[0]);
    expect(await whoSees(host.outside.place, host4, 8091)).toBe(host.outside.addresses[0]);
    await host.del(marked);
  });

  test('without snat clients beyond the host get through, neighbours are not hidden', async () => {
    const plain = await host.publish('plain', [{ hostPort: 8092, containerPort: 80 }], {
      portmap: { backend, snat: false },
    });
    await startServer(plain.pod, 80);
    expect(await whoSees(host.outside.place, host4, 8092)).toBe(host.outside.addresses[0]);
    expect(await whoSees(plain.pod, host4, 8092)).toBeUndefined();
    await host.check(plain);
    await host.del(plain);
  });

  test('conditions decide who gets through', async () => {
    const allowed = host.outside.addresses[0] ?? '';
    const conditionsV4 = backend === 'nftables' ? ['ip', 'saddr', allowed] : ['-s', allowed];
    const conditionsV6 =
      backend === 'nftables' ? ['ip6 saddr != 2001:db8:51::2'] : ['!', '-s', '2001:db8:51::2'];
    const choosy = await host.publish('choosy', [{ hostPort: 8093, containerPort: 80 }], {
      portmap: { backend, conditionsV4, conditionsV6 },
    });
    await startServer(choosy.pod, 80);
    expect(await whoSees(host.outside.place, host4, 8093)).toBe(allowed);
    expect(await whoSees(host.outside.place, host6, 8093)).toBeUndefined();
    expect(await whoSees(other.pod, host4, 8093)).toBeUndefined();
    expect(await whoSees(other.pod, host6, 8093)).toBe(GATEWAYS[1]);
    // Another pod's port goes on without.
    expect(await whoSees(host.outside.place, host6, 8080)).toBeDefined();
    await host.check(choosy);
    await host.del(choosy);
    expect(await host.host.exec(['nft', 'list', 'ruleset'])).not.toMatch(/chain own-|choosy/);
  });
});
