import { beforeEach, describe, expect, test } from 'vitest';
import { announce } from './announce.ts';
import { runCommand } from './command.ts';
import { readLink, waitForLink } from './link.ts';
import type { Netns } from './netns.ts';
import { startCommand } from './running-command.ts';
import { writeSysctl } from './sysctl.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

const STALE_MAC = '02:00:00:00:00:99';
const POD_MAC = '02:00:00:00:00:0a';

/** A pod and its neighbour on a bridge in a namespace that plays the host. */
describe('announce', () => {
  let host: Netns;
  let pod: Netns;
  let neighbour: Netns;

  beforeEach(async (context) => {
    requireNamespaces(context);
    host = await createNetns();
    pod = await createNetns();
    neighbour = await createNetns();
    ip(
      host,
      'link add br0 up type bridge',
      `link add va master br0 up type veth peer name eth0 address ${POD_MAC} netns ${pod.reference}`,
      `link add vb master br0 up type veth peer name eth0 netns ${neighbour.reference}`,
    );
    const common = ['link set eth0 addrgenmode none up'];
    ip(pod, ...common, 'address add 10.0.0.2/24 dev eth0', 'address add fd00::2/64 dev eth0 nodad');
    ip(pod, 'address add 10.0.0.22/24 dev eth0', 'address add fd00::22/64 dev eth0 nodad');
    ip(neighbour, ...common, 'address add 10.0.0.3/24 dev eth0', 'address add fd00::3/64 dev eth0 nodad');
    pod.run(() => {
      writeSysctl('net/ipv4/conf/eth0/arp_notify', 1);
      writeSysctl('net/ipv6/conf/eth0/ndisc_notify', 1);
    });
    for (const port of ['va', 'vb']) {
      expect(host.run(() => waitForLink(port, (link) => link?.port?.state === 3, 5000))).toBe(true);
    }
    return () => {
      for (const netns of [host, pod, neighbour]) netns.close();
    };
  });

  test('corrects the neighbours’ entries of all addresses, IPv4 and IPv6', () => {
    const addresses = ['10.0.0.2', '10.0.0.22', 'fd00::2', 'fd00::22'];
    ip(
      neighbour,
      ...addresses.map((address) => `neighbour add ${address} lladdr ${STALE_MAC} dev eth0 nud stale`),
    );
    const known = () => neighbour.run(() => runCommand('ip', ['neighbour', 'show']).stdout);
    expect(known().split(STALE_MAC)).toHaveLength(5);
    announce(pod, 'eth0');
    const deadline = performance.now() + 5000;
    while (known().includes(STALE_MAC) && performance.now() < deadline) Bun.sleepSync(5);
    expect(known()).not.toContain(STALE_MAC);
    expect(known().split(POD_MAC)).toHaveLength(5);
  });

  test('sends gratuitous ARP requests and overriding neighbour advertisements', async (context) => {
    if (Bun.which('tcpdump', { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }) === null)
      context.skip('tcpdump is not installed');
    const filter = 'arp or (icmp6 and ip6[40] = 136)';
    const args = ['--immediate-mode', '-lenvi', 'eth0', '-c', '4', filter];
    const capture = neighbour.run(() => startCommand('tcpdump', args, { timeoutMs: 10_000 }));
    // Again and again, as nothing tells when tcpdump is ready. It prints four frames, one of each kind.
    const captured = await capture.settled(() => {
      announce(pod, 'eth0');
      return false;
    });
    const stdout = captured?.stdout;
    for (const address of ['10.0.0.2', '10.0.0.22']) {
      expect(stdout).toContain(`Request who-has ${address} tell ${address}`);
    }
    for (const address of ['fd00::2', 'fd00::22']) {
      expect(stdout).toContain(`tgt is ${address}, Flags [override]`);
    }
    expect(stdout).toMatch(new RegExp(`${POD_MAC} > ff:ff:ff:ff:ff:ff`));
    expect(stdout).toMatch(new RegExp(`${POD_MAC} > 33:33:00:00:00:01`));
    expect(stdout).toContain('[icmp6 sum ok]');
  });

  test('changes nothing of the link', () => {
    const before = pod.run(() => readLink('eth0'));
    announce(pod, 'eth0');
    expect(pod.run(() => readLink('eth0'))).toEqual(before);
  });

  test('throws for an interface that is not there', () => {
    expect(() => announce(pod, 'nope')).toThrow(/announcing the addresses of nope: ENODEV/);
  });
});
