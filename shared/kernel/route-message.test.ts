import { expect, test } from 'vitest';
import { parseRoutes, routeQueryParts } from './route-message.ts';

// Payloads of RTM_NEWROUTE messages recorded from Linux 6.18.
const recorded = {
  full: '02100000640300010400000008000f0064000000080001000a05000008000600070000001400080008000200780500000800080014050000080007000a000001080005000a0000090800040002000000',
  connected: '02180000fe02fd010000000008000f00fe000000080001000a000000080007000a0000010800040002000000',
  multipath:
    '02100000fe0300010000000008000f00fe000000080001000a060000240009001000000002000000080005000a0000071000000003000000080005000a090002',
  overIpv6:
    '02100000fe0300010000000008000f00fe000000080001000a070000160012000a00fd00000000000000000000000000000500000800040002000000',
  ipv6: '0a400000fe0300010000000008000f00fe00000014000100fd010000000000000000000000000000080006000004000014000500fd000000000000000000000000000009080004000200000024000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000',
};

const parse = (hex: string) => parseRoutes(Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')));

test('a route with everything', () => {
  expect(parse(recorded.full)).toEqual([
    {
      dst: '10.5.0.0/16',
      gateway: '10.0.0.9',
      linkIndex: 2,
      priority: 7,
      table: 100,
      scope: 0,
      mtu: 1400,
      advmss: 1300,
      protocol: 3,
      onlink: true,
      src: '10.0.0.1',
    },
  ]);
});

test('the route to a connected subnet', () => {
  expect(parse(recorded.connected)).toEqual([
    {
      dst: '10.0.0.0/24',
      linkIndex: 2,
      table: 254,
      scope: 253,
      protocol: 2,
      onlink: false,
      src: '10.0.0.1',
    },
  ]);
});

test('a multipath route is one for each next hop', () => {
  const common = { dst: '10.6.0.0/16', table: 254, scope: 0, protocol: 3, onlink: false, hops: 2 };
  expect(parse(recorded.multipath)).toEqual([
    { ...common, gateway: '10.0.0.7', linkIndex: 2 },
    { ...common, gateway: '10.9.0.2', linkIndex: 3 },
  ]);
});

test('IPv4 over an IPv6 gateway', () => {
  expect(parse(recorded.overIpv6)).toMatchObject([{ dst: '10.7.0.0/16', gateway: 'fd00::5' }]);
});

test('IPv6, and the default route, which has no destination attribute', () => {
  expect(parse(recorded.ipv6)).toMatchObject([{ dst: 'fd01::/64', gateway: 'fd00::9', priority: 1024 }]);
  expect(parse('0a000000fe0300010000000008000400 02000000')).toMatchObject([{ dst: '::/0', linkIndex: 2 }]);
});

test('what is no unicast route, or only cached, is left out', () => {
  expect(parse(recorded.connected.replace('02180000fe02fd01', '02180000fe02fd06'))).toEqual([]);
  expect(parse(recorded.connected.replace('fd0100000000', 'fd0100020000'))).toEqual([]);
});

test('malformed next hops are refused', () => {
  expect(() => parse(recorded.multipath.replace('1000000003', '1100000003'))).toThrow(RangeError);
  expect(() => parse(recorded.multipath.replace('1000000003', '0000000003'))).toThrow(RangeError);
});

test('a query asks for unicast routes of the interface and table', () => {
  const parts = routeQueryParts(6, { linkIndex: 5, table: 1000 });
  expect(Buffer.concat(parts).toString('hex')).toBe(
    '0a0000000000000100000000 0800040005000000 08000f00e8030000'.replaceAll(' ', ''),
  );
});
