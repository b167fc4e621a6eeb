import { beforeEach, describe, expect, test } from 'vitest';
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
