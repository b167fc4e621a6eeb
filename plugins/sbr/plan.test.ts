import { describe, expect, test } from 'vitest';
import type { IpBatch } from '../../shared/kernel/ip-batch.ts';
import type { RouteState } from '../../shared/kernel/route.ts';
import { planSbr, type SbrState } from './plan.ts';

const none = { table: undefined, gateways: {}, addSourceHints: false };
const route = (dst: string, more: Partial<RouteState> = {}): RouteState => ({
  dst,
  table: 254,
  scope: dst.includes(':') || more.gateway ? 0 : 253,
  protocol: 2,
  onlink: false,
  linkIndex: 2,
  ...more,
});
const stateOf = (routes: RouteState[], used: number[] = []): SbrState => ({
  ifname: 'net1',
  routes,
  usedTables: new Set([253, 254, 255, ...used]),
});
const linesOf = (...[config, addresses, state]: Parameters<typeof planSbr>) => {
  const lines = (batch: IpBatch): string[] => batch.toString().trimEnd().split('\n');
  const plans = planSbr(config, addresses, state);
  return {
    apply: plans.flatMap((plan) => lines(plan.apply)),
    undo: plans.flatMap((plan) => lines(plan.undo)),
  };
};
const v4 = { address: '192.168.1.209/24', gateway: '192.168.1.1' };
const connected = route('192.168.1.0/24', { src: '192.168.1.209' });

describe('planSbr', () => {
  test('a rule, a default route, and the routes in a table of their own', () => {
    expect(linesOf(none, [v4], stateOf([connected]))).toEqual({
      apply: [
        'rule add from 192.168.1.209/32 table 100',
        'route add 0.0.0.0/0 via 192.168.1.1 dev net1 table 100',
        'route replace 192.168.1.0/24 dev net1 src 192.168.1.209 scope 253 proto 2 table 100',
        'route del 192.168.1.0/24 dev net1 table 254',
      ],
      undo: [
        'rule del from 192.168.1.209/32 table 100',
        'route del 192.168.1.0/24 dev net1 table 100',
        'route del 0.0.0.0/0 via 192.168.1.1 dev net1 table 100',
        'route replace 192.168.1.0/24 dev net1 src 192.168.1.209 scope 253 proto 2 table 254',
      ],
    });
  });

  test('each address has the first table that is free, with the routes of its family', () => {
    const v6 = { address: 'fd00:1::5/64', gateway: 'fd00:1::1' };
    const routes = [
      connected,
      route('fd00:1::/64', { priority: 256 }),
      route('fe80::/64', { priority: 256 }),
      route('::/0', { gateway: 'fe80::1', priority: 1024, protocol: 3 }),
    ];
    expect(linesOf(none, [v4, v6], stateOf(routes, [100, 102])).apply).toEqual([
      'rule add from 192.168.1.209/32 table 101',
      'route add 0.0.0.0/0 via 192.168.1.1 dev net1 table 101',
      'route replace 192.168.1.0/24 dev net1 src 192.168.1.209 scope 253 proto 2 table 101',
      'route del 192.168.1.0/24 dev net1 table 254',
      'rule add from fd00:1::5/128 table 103',
      'route add ::/0 via fd00:1::1 dev net1 table 103',
      'route replace fd00:1::/64 dev net1 proto 2 metric 256 table 103',
      'route replace fe80::/64 dev net1 proto 2 metric 256 table 103',
      // It goes with no address, by a gateway outside of all subnets.
      'route replace ::/0 via fe80::1 dev net1 proto 3 metric 1024 table 103',
      'route del fd00:1::/64 dev net1 metric 256 table 254',
      'route del ::/0 via fe80::1 dev net1 metric 1024 table 254',
    ]);
  });

  test('a route goes with the addresses that its source or gateway is near to', () => {
    const other = { address: '10.0.0.5/16' };
    const routes = [route('10.9.0.0/16', { gateway: '10.0.0.1' }), route('10.0.0.0/16', { src: '10.0.0.5' })];
    const { apply, undo } = linesOf(none, [v4, other], stateOf([connected, ...routes]));
    expect(apply.filter((line) => line.endsWith('table 101'))).toEqual([
      'rule add from 10.0.0.5/32 table 101',
      'route replace 10.9.0.0/16 via 10.0.0.1 dev net1 scope 0 proto 2 table 101',
      'route replace 10.0.0.0/16 dev net1 src 10.0.0.5 scope 253 proto 2 table 101',
    ]);
    // Back in the main table, a gateway comes after the route it is reached by.
    expect(undo.at(-1)).toBe('route replace 10.9.0.0/16 via 10.0.0.1 dev net1 scope 0 proto 2 table 254');
  });

  test('a table of the configuration has its rules and nothing else', () => {
    const config = { ...none, table: 5000, gateways: { 4: '192.168.1.7' as const }, addSourceHints: true };
    expect(linesOf(config, [v4], stateOf([connected]))).toEqual({
      apply: ['rule add from 192.168.1.209/32 table 5000'],
      undo: ['rule del from 192.168.1.209/32 table 5000'],
    });
  });

  test('gateways of the configuration', () => {
    const config = { ...none, gateways: { 4: '192.168.1.254' } };
    expect(linesOf(config, [v4], stateOf([])).apply).toContain(
      'route add 0.0.0.0/0 via 192.168.1.254 dev net1 table 100',
    );
    expect(linesOf(none, [{ address: '192.168.1.209/24' }], stateOf([])).apply).toHaveLength(1);
  });

  test('with source hints, subnets stay in the main table', () => {
    const far = route('0.0.0.0/0', { gateway: '192.168.1.1' });
    const v6 = { address: 'fd00:1::5/64' };
    const routes = [far, connected, route('fd00:1::/64', { priority: 256 })];
    const { apply } = linesOf({ ...none, addSourceHints: true }, [v4, v6], stateOf(routes));
    expect(apply.filter((line) => !/^rule|table 10\d$/.test(line))).toEqual([
      'route replace 192.168.1.0/24 dev net1 src 192.168.1.209 scope link',
      'route del 0.0.0.0/0 via 192.168.1.1 dev net1 table 254',
      'route replace fd00:1::/64 dev net1 src fd00:1::5',
      'route del fd00:1::/64 dev net1 metric 256 table 254',
    ]);
  });
});
