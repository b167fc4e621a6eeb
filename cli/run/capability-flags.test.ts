import { describe, expect, test } from 'vitest';
import {
  capabilityArgs,
  parseBandwidth,
  parseCapabilityJson,
  parseIp,
  parseMac,
  parsePort,
} from './capability-flags.ts';

test.each([
  ['8080:80', { hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
  ['53:5353/UDP', { hostPort: 53, containerPort: 5353, protocol: 'udp' }],
  ['127.0.0.1:1:65535/sctp', { hostPort: 1, containerPort: 65535, protocol: 'sctp', hostIP: '127.0.0.1' }],
  ['[::1]:80:80', { hostPort: 80, containerPort: 80, protocol: 'tcp', hostIP: '::1' }],
])('--port %s', (text, mapping) => {
  expect(parsePort(text)).toEqual(mapping);
});

test.each(['80', '0:80', '80:70000', 'x:80:80', '80:80/icmp', '1:2:3:4', '::1:80:80'])(
  '--port %s is refused',
  (text) => {
    expect(() => parsePort(text)).toThrow('It must be [HOSTIP:]');
  },
);

describe('--bandwidth', () => {
  test('in bits, with factors of a thousand', () => {
    expect(parseBandwidth('ingress=10M/800k,egress=1.5G/4G')).toEqual({
      ingressRate: 10_000_000,
      ingressBurst: 800_000,
      egressRate: 1_500_000_000,
      egressBurst: 4_000_000_000,
    });
  });

  test('a burst that is not given lets a large packet through', () => {
    expect(parseBandwidth('egress=1k')).toEqual({ egressRate: 1000, egressBurst: 524_288 });
    expect(parseBandwidth('egress=1G').egressBurst).toBe(100_000_000);
  });

  test.each([
    '',
    '10M',
    'ingress=',
    'ingress=0',
    'ingress=1M/0',
    'ingress=1M,ingress=2M',
    'up=1M',
    'egress=1T',
  ])('%j is refused', (text) => {
    expect(() => parseBandwidth(text)).toThrow('It must be ingress=');
  });
});

test('--mac and --ip', () => {
  expect(parseMac('02-00-00-00-00-AA')).toBe('02:00:00:00:00:aa');
  expect(() => parseMac('02:00')).toThrow('MAC address');
  expect(['10.1.0.5', '10.1.0.5/24', 'fd00::5/64'].map(parseIp)).toEqual([
    '10.1.0.5',
    '10.1.0.5/24',
    'fd00::5/64',
  ]);
  for (const text of ['10.1', '10.1.0.5/33', 'fd00::5/129', '10.1.0.5/', '10.1.0.5/24/1']) {
    expect(() => parseIp(text)).toThrow('IP address');
  }
});

test('a flag of its own wins over the JSON', () => {
  const json = parseCapabilityJson('{"mac":"a","aliases":["x"]}');
  expect(capabilityArgs({ json, mac: 'b', ip: ['10.0.0.1'] })).toEqual({
    mac: 'b',
    aliases: ['x'],
    ips: ['10.0.0.1'],
  });
  expect(() => parseCapabilityJson('[]')).toThrow('It must be a JSON object');
  expect(() => parseCapabilityJson('{')).toThrow('It is not valid JSON');
});
