import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Netns } from './netns.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

describe('sysctls', () => {
  let netns: Netns;
  beforeEach(async (context) => {
    requireNamespaces(context);
    netns = await createNetns();
    return () => netns.close();
  });

  test('are those of the namespace this thread is in', async () => {
    const other = await createNetns();
    netns.run(() => expect(writeSysctl('net/ipv4/ip_forward', 1)).toBe(true));
    other.run(() => expect(writeSysctl('net/ipv4/ip_forward', '0')).toBe(true));
    expect(netns.run(() => readSysctl('net/ipv4/ip_forward'))).toBe('1');
    expect(other.run(() => readSysctl('net/ipv4/ip_forward'))).toBe('0');
    other.close();
  });

  test('may be of an interface with dots in its name', () => {
    ip(netns, 'link add br0.10 type bridge');
    netns.run(() => {
      expect(writeSysctl('net/ipv4/conf/br0.10/arp_notify', 1)).toBe(true);
      expect(readSysctl('net/ipv4/conf/br0.10/arp_notify')).toBe('1');
    });
  });

  test('are reached by another mount of /proc/sys, too', async (context) => {
    const mounted = mkdtempSync(`${tmpdir()}/podwire-sysctl-`);
    context.onTestFinished(() => {
      vi.unstubAllEnvs();
      rmdirSync(`${mounted}/net`);
      rmdirSync(mounted);
    });
    mkdirSync(`${mounted}/net`);
    vi.stubEnv('PODWIRE_SYSCTL_DIR', mounted);
    expect(readSysctl('net/ipv4/ip_forward')).toBeUndefined();
    execFileSync('mount', ['--bind', '/proc/sys/net', `${mounted}/net`]);
    try {
      netns.run(() => expect(writeSysctl('net/ipv4/ip_forward', 1)).toBe(true));
      const other = await createNetns();
      other.run(() => expect(writeSysctl('net/ipv4/ip_forward', 0)).toBe(true));
      other.close();
    } finally {
      execFileSync('umount', [`${mounted}/net`]);
    }
    vi.unstubAllEnvs();
    expect(netns.run(() => readSysctl('net/ipv4/ip_forward'))).toBe('1');
  });

  test('that do not exist are told apart', () => {
    netns.run(() => {
      expect(readSysctl('net/ipv4/conf/nope/arp_notify')).toBeUndefined();
      expect(writeSysctl('net/ipv4/conf/nope/arp_notify', 1)).toBe(false);
    });
  });

  test('refuse a wrong value with the kernel’s error', () => {
    expect(() => netns.run(() => writeSysctl('net/ipv4/ip_forward', 'yes'))).toThrow(/EINVAL/);
  });
});

test.each(['', 'net', 'net/../kernel/hostname', '../etc/passwd', '/net/ipv4', 'net//ipv4', 'net/a\0b'])(
  '%j is no name of a sysctl',
  (name) => {
    expect(() => readSysctl(name)).toThrow(TypeError);
    expect(() => writeSysctl(name, 1)).toThrow(TypeError);
  },
);
