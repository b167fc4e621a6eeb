import { describe, expect, test } from 'vitest';
import { toPattern } from './allow-list.ts';
import { sysctlNames } from './config.ts';
import { duplicateKeys } from './duplicate-keys.ts';

describe('sysctlNames', () => {
  test.each([
    ['net.ipv4.ip_forward', ['net/ipv4/ip_forward']],
    ['net/ipv4/ip_forward', ['net/ipv4/ip_forward']],
    ['net.ipv4.conf.IFNAME.forwarding', ['net/ipv4/conf/eth0.5/forwarding']],
    // Only the first, as the reference.
    ['net.ipv4.conf.IFNAME.IFNAME', ['net/ipv4/conf/eth0.5/IFNAME']],
    ['net/ipv4/conf/a.b/forwarding', ['net/ipv4/conf/a/b/forwarding', 'net/ipv4/conf/a.b/forwarding']],
    ['net.ipv4.conf.a/b.forwarding', ['net/ipv4/conf/a/b/forwarding', 'net/ipv4/conf/a.b/forwarding']],
    ['/net//ipv4/ip_forward', ['net/ipv4/ip_forward']],
    ['..net.x', ['net/x']],
  ])('%s', (key, names) => {
    expect(sysctlNames(key, 'eth0.5')).toEqual(names);
  });

  test.each(['kernel.hostname', 'net', 'net.', '', 'network.x', 'net/../kernel/x', 'net/ipv4/../x'])(
    '%j is not below net',
    (key) => {
      expect(sysctlNames(key, 'eth0')).toBeUndefined();
    },
  );

  test('an interface name cannot lead elsewhere', () => {
    expect(sysctlNames('net.IFNAME', '..')).toBeUndefined();
  });
});

describe('duplicateKeys', () => {
  test.each([
    ['{"sysctl":{"a":"1","b":"2"}}', []],
    ['{"sysctl":{"a":"1","a":"2"}}', ['a']],
    ['{"sysctl":{"a":"1","\\u0061":"2","c":{"d":1,"d":2}}}', ['a']],
    ['{"sysctl":{"a":"1"},"x":{"sysctl":{"a":"1","a":"1"}},"sysctl":{"a":"2"}}', ['a']],
    ['{"a":1,"a":2,"sysctl":{"b":":"}}', []],
    ['{"x":["sysctl",{"sysctl":{"a":"1"}}],"sysctl":{"a":"\\"a\\":{"}}', []],
    ['[]', []],
  ])('%s', (json, keys) => {
    expect(duplicateKeys(json, 'sysctl')).toEqual(keys);
  });
});

describe('toPattern', () => {
  test.each([
    ['^net.ipv4.conf.all.log_martians$', 'net.ipv4.conf.all.log_martians', true],
    ['^net.ipv4.conf.all.log_martians$', 'net.ipv4.conf.all.log_martians2', false],
    ['tcp', 'net.ipv4.tcp_rmem', true],
    ['\\Anet\\.core\\.[[:alnum:]_]+\\z', 'net.core.somaxconn', true],
    ['\\Anet\\.core\\.[[:digit:]]+\\z', 'net.core.somaxconn', false],
    ['(?i)^NET\\.', 'net.core.somaxconn', true],
    ['^net\\-x$', 'net-x', true],
  ])('%s and %s: %s', (line, key, matches) => {
    expect(toPattern(line).test(key)).toBe(matches);
  });

  test.each(['[', '(', '\\Qnet.\\E', '\\pL', 'a(?i)b', '[[:^digit:]]', '(?s:x)'])('refuses %s', (line) => {
    expect(() => toPattern(line)).toThrow('cannot be used');
  });
});
