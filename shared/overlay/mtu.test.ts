import { describe, expect, test } from 'vitest';
import { overlayMtu } from './mtu.ts';

const underlay = (address: string, mtu = 1500) => ({ device: 'eth0', index: 2, mtu, address, subnets: [] });
const [ipv4, ipv6] = [underlay('198.51.100.1'), underlay('2001:db8::1')];

describe('the MTU', () => {
  test('is what VXLAN leaves of the underlay', () => {
    expect(overlayMtu({ mode: 'vxlan', mtu: undefined }, ipv4, [])).toEqual({ pods: 1450, vtep: 1450 });
    expect(overlayMtu({ mode: 'cross-subnet', mtu: undefined }, ipv6, [])).toEqual({
      pods: 1430,
      vtep: 1430,
    });
    expect(overlayMtu({ mode: 'direct', mtu: undefined }, ipv4, [])).toEqual({ pods: 1500, vtep: 1450 });
  });

  test('may be given smaller, not larger', () => {
    expect(overlayMtu({ mode: 'vxlan', mtu: 1400 }, ipv4, [])).toEqual({ pods: 1400, vtep: 1400 });
    expect(() => overlayMtu({ mode: 'vxlan', mtu: 1451 }, ipv4, [])).toThrow(
      '"mtu" is 1451, but at most 1450 is possible: the underlay device "eth0" has an MTU of 1500, of which VXLAN takes 50',
    );
    expect(() => overlayMtu({ mode: 'vxlan', mtu: 1431 }, ipv6, [])).toThrow('of which VXLAN takes 70');
    expect(() => overlayMtu({ mode: 'direct', mtu: 1501 }, ipv4, [])).toThrow(
      'at most 1500 is possible: the underlay device "eth0" has an MTU of 1500',
    );
  });

  test('must suffice for IPv6 where pods have it', () => {
    const given = { mode: 'vxlan', mtu: 1279 } as const;
    expect(overlayMtu(given, ipv4, ['10.1.0.0/24']).pods).toBe(1279);
    expect(() => overlayMtu(given, ipv4, ['10.1.0.0/24', 'fd00:1::/64'])).toThrow(
      'an MTU of 1279 bytes is too small for the IPv6 pod prefix fd00:1::/64',
    );
    expect(() =>
      overlayMtu({ mode: 'vxlan', mtu: undefined }, underlay('198.51.100.1', 1300), ['fd00:1::/64']),
    ).toThrow('an MTU of 1250 bytes');
  });
});
