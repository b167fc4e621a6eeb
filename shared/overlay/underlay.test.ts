import { describe, expect, test } from 'vitest';
import type { AddressState } from '../kernel/address.ts';
import type { RouteState } from '../kernel/route-message.ts';
import { bestAddress, defaultRouteIndex } from './underlay.ts';

const address = (text: string, changes: Partial<AddressState> = {}): AddressState => ({
  ...{ address: text, prefixLength: 24, family: text.includes(':') ? 6 : 4, scope: 0 },
  ...{ tentative: false, dadFailed: false, permanent: true, deprecated: false, secondary: false },
  ...changes,
});

describe('the address of a device', () => {
  test('is the one that the node is registered with', () => {
    const addresses = [address('198.51.100.1'), address('198.51.100.2'), address('2001:db8::1')];
    expect(bestAddress(addresses, ['203.0.113.9', '2001:db8::1', '198.51.100.2'])).toBe('2001:db8::1');
    expect(bestAddress(addresses, ['203.0.113.9'])).toBe('198.51.100.1');
  });

  test('is global and lasting', () => {
    const doubtful = [
      address('169.254.0.1', { scope: 253 }),
      address('fe80::1', { scope: 253 }),
      address('2001:db8::1', { tentative: true }),
      address('2001:db8::2', { dadFailed: true }),
      address('2001:db8::3', { secondary: true }),
      address('2001:db8::4', { deprecated: true }),
    ];
    expect(bestAddress([...doubtful, address('2001:db8::5', { permanent: false })], [])).toBe('2001:db8::5');
    expect(bestAddress(doubtful, [])).toBe('2001:db8::3');
    expect(bestAddress(doubtful.slice(0, 4), ['2001:db8::1'])).toBeUndefined();
  });
});

test('the default route is the one of the lowest metric', () => {
  const route = (dst: string, linkIndex: number, priority?: number): RouteState => ({
    ...{ dst, linkIndex, table: 254, scope: 0, protocol: 3, onlink: false },
    ...(priority === undefined ? {} : { priority }),
  });
  const routes = [route('10.0.0.0/8', 1), route('0.0.0.0/0', 2, 100), route('0.0.0.0/0', 3, 50)];
  expect(defaultRouteIndex(routes)).toBe(3);
  expect(defaultRouteIndex([...routes, route('0.0.0.0/0', 4)])).toBe(4);
  expect(defaultRouteIndex([route('::/0', 5, 1024)])).toBe(5);
  expect(defaultRouteIndex(routes.slice(0, 1))).toBeUndefined();
});
