import { beforeEach, describe, expect, test } from 'vitest';
import { readAddresses } from './address.ts';
import { readLink } from './link.ts';
import type { Netns } from './netns.ts';
import { readRoutes } from './route.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

let netns: Netns;
beforeEach(async (context) => {
  requireNamespaces(context);
  netns = await createNetns();
  return () => netns.close();
});

const indexOf = (name: string) => netns.run(() => readLink(name)?.index ?? -1);

/** Asks until the answer is true, at most 5 s. */
const eventually = async (ask: () => boolean) => {
  const deadline = performance.now() + 5000;
  while (!ask() && performance.now() < deadline) await Bun.sleep(10);
  expect(ask()).toBe(true);
};

const bridgeAndVeth = () =>
  ip(
    netns,
    'link add br0 address 02:00:00:00:00:01 mtu 1400 up type bridge',
    'link add v0 address 02:00:00:00:00:02 mtu 1400 master br0 up type veth peer name v1 mtu 1400',
    'link set v1 up',
    'link set v0 type bridge_slave hairpin on isolated on',
    'link set v0 alias podwire:net/container/eth0',
  );

describe('addresses', () => {
  test('are those of the interface, and no others', () => {
    bridgeAndVeth();
    ip(
      netns,
      'address add 10.0.0.1/24 broadcast + dev br0',
      'address add fd00::1/64 dev br0 nodad',
      'address add 10.9.0.1 peer 10.9.0.2 dev v1 scope link',
      'address add fd02::1/64 dev v1 valid_lft 1000 preferred_lft 500 nodad',
    );
    const addresses = (name: string) =>
      netns.run(() => readAddresses(indexOf(name))).filter(({ address }) => !address.startsWith('fe80'));
    const plain = {
      ...{ scope: 0, tentative: false, dadFailed: false, permanent: true },
      ...{ deprecated: false, secondary: false },
    };
    expect(addresses('br0')).toEqual([
      { ...plain, family: 4, address: '10.0.0.1', prefixLength: 24 },
      { ...plain, family: 6, address: 'fd00::1', prefixLength: 64 },
    ]);
    expect(addresses('v1')).toEqual([
      { ...plain, family: 4, address: '10.9.0.1', prefixLength: 32, scope: 253, peer: '10.9.0.2' },
      { ...plain, family: 6, address: 'fd02::1', prefixLength: 64, permanent: false },
    ]);
  });

  test('under duplicate address detection are tentative, and failed ones are known', async () => {
    ip(
      netns,
      'link add v0 type veth peer name v1',
      'link set v0 addrgenmode none up',
      'link set v1 addrgenmode none up',
    );
    ip(netns, 'address add fd00::5/64 dev v0 nodad', 'address add fd00::5/64 dev v1');
    const state = () => netns.run(() => readAddresses(indexOf('v1')))[0];
    expect(state()).toMatchObject({ address: 'fd00::5', tentative: true });
    await eventually(() => state()?.dadFailed === true);
  });

  test('of an interface that is not there are none', () => {
    expect(netns.run(() => readAddresses(4711))).toEqual([]);
  });
});

describe('routes', () => {
  test('are those of family, interface and table', () => {
    bridgeAndVeth();
    ip(
      netns,
      'address add 10.0.0.1/24 dev br0',
      'address add fd00::1/64 dev br0 nodad',
      'address add 10.9.0.1/24 dev v1',
      'route add 10.5.0.0/16 via 10.0.0.9 dev br0 mtu 1300 advmss 1200 metric 7 src 10.0.0.1',
      'route add default via 172.16.0.1 dev br0 onlink table 1000 proto static',
      'route add 10.6.0.0/16 nexthop via 10.0.0.7 dev br0 nexthop via 10.9.0.2 dev v1',
      'route add blackhole 10.8.0.0/16',
      'route add fd01::/64 via fd00::9 dev br0',
    );
    const linkIndex = indexOf('br0');
    const read = (...args: Parameters<typeof readRoutes>) => netns.run(() => readRoutes(...args));
    const common = { linkIndex, table: 254, scope: 0, protocol: 3, onlink: false };
    expect(read(4, { linkIndex, table: 254 })).toEqual([
      { ...common, dst: '10.0.0.0/24', scope: 253, protocol: 2, src: '10.0.0.1' },
      {
        ...common,
        dst: '10.5.0.0/16',
        gateway: '10.0.0.9',
        priority: 7,
        mtu: 1300,
        advmss: 1200,
        src: '10.0.0.1',
      },
      { ...common, dst: '10.6.0.0/16', gateway: '10.0.0.7', hops: 2 },
    ]);
    expect(read(4, { table: 1000 })).toEqual([
      { ...common, dst: '0.0.0.0/0', gateway: '172.16.0.1', table: 1000, protocol: 4, onlink: true },
    ]);
    expect(read(6, { linkIndex })).toContainEqual({
      ...common,
      dst: 'fd01::/64',
      gateway: 'fd00::9',
      priority: 1024,
    });
    expect(read(4).map(({ dst }) => dst)).not.toContain('10.8.0.0/16');
  });

  test('of an interface or a table that is not there are none', () => {
    expect(netns.run(() => readRoutes(4, { linkIndex: 4711 }))).toEqual([]);
    expect(netns.run(() => readRoutes(4, { table: 4711 }))).toEqual([]);
    expect(netns.run(() => readRoutes(6, { table: 4711 }))).toEqual([]);
  });
});
