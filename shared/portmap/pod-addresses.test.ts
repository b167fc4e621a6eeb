import { expect, test } from 'vitest';
import type { Result } from '../cni/types.ts';
import { portmapAddresses } from './pod-addresses.ts';

const result = (ips: Result['ips']): Result => ({
  interfaces: [
    { name: 'cni0' },
    { name: 'eth0', sandbox: '/run/netns/a' },
    { name: 'net1', sandbox: '/run/netns/a' },
  ],
  ips,
  routes: [],
  dns: {},
});

const chosen = (ips: Result['ips'], ifname = 'eth0'): string[] =>
  portmapAddresses(result(ips), ifname).map(({ address, subnet }) => `${address} in ${subnet}`);

test('the first of each family, IPv4 first', () => {
  const ips = ['fd00::2/64', '10.1.0.2/24', '10.2.0.2/24', 'fd01::2/64'].map((address) => ({
    address,
    interface: 1,
  }));
  expect(chosen(ips)).toEqual(['10.1.0.2 in 10.1.0.0/24', 'fd00::2 in fd00::/64']);
});

test('those of other interfaces and of the host are not meant', () => {
  const ips = [
    { address: '10.1.0.1/24', interface: 0 },
    { address: '10.3.0.2/24', interface: 2 },
    { address: '10.1.0.2/24', interface: 1 },
  ];
  expect(chosen(ips)).toEqual(['10.1.0.2 in 10.1.0.0/24']);
  expect(chosen(ips, 'net1')).toEqual(['10.3.0.2 in 10.3.0.0/24']);
});

test('one that names no interface, or none that is there, is the container’s', () => {
  expect(chosen([{ address: '10.1.0.2/24' }])).toHaveLength(1);
  expect(chosen([{ address: '10.1.0.2/24', interface: -1 }])).toHaveLength(1);
  expect(chosen([{ address: '10.1.0.2/24', interface: 9 }])).toHaveLength(1);
  expect(chosen([])).toEqual([]);
});
