import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { call, createPluginHost, expectError, expectSilent, forAll, networks } from '../protocol/calls.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';

let host: TestHost;
let before: Snapshot;
beforeEach(async () => {
  host = await createPluginHost('addresses');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterEach(() => host.dispose());

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), [/ cni0( |$)/])).toEqual(nothing);

const withIpam = (ipam: object) => ({ ...networks.bridge, ipam: { type: 'host-local', ...ipam } });

describe('ranges that can not be', () => {
  const rows: Record<string, object> = {
    'no range at all': {},
    'an empty set': { ranges: [[]] },
    'no set': { ranges: [] },
    'host bits in the subnet': { subnet: '10.1.0.5/24' },
    'host bits in an IPv6 subnet': { ranges: [[{ subnet: 'fd00::1/64' }]] },
    'a /31': { subnet: '10.1.0.0/31' },
    'a /32': { subnet: '10.1.0.0/32' },
    'a /127': { subnet: 'fd00::/127' },
    'a start outside of the subnet': { subnet: '10.1.0.0/24', rangeStart: '10.2.0.5' },
    'an end outside of the subnet': { subnet: '10.1.0.0/24', rangeEnd: '10.2.0.5' },
    'an end before the start': { subnet: '10.1.0.0/24', rangeStart: '10.1.0.9', rangeEnd: '10.1.0.8' },
    'a start of the other family': { subnet: '10.1.0.0/24', rangeStart: 'fd00::5' },
    'a gateway of the other family': { subnet: '10.1.0.0/24', gateway: 'fd00::5' },
    'two families in a set': { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: 'fd00::/64' }]] },
    'equal ranges in a set': { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: '10.1.0.0/24' }]] },
    'one range in another': { ranges: [[{ subnet: '10.1.0.0/16' }], [{ subnet: '10.1.7.0/24' }]] },
    'ranges that overlap by one address': {
      ranges: [
        [{ subnet: '10.1.0.0/24', rangeEnd: '10.1.0.50' }],
        [{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.50' }],
      ],
    },
    'a subnet that overlaps a range': { subnet: '10.1.0.0/24', ranges: [[{ subnet: '10.1.0.0/16' }]] },
    'IPv6 ranges that overlap': { ranges: [[{ subnet: 'fd00::/64' }], [{ subnet: 'fd00::/96' }]] },
  };
  test('are refused with code 7, and nothing is left', async () => {
    await forAll(
      Object.entries(rows),
      ([title]) => title,
      async ([, ipam]) => {
        const config = withIpam(ipam);
        for (const command of ['ADD', 'STATUS'])
          expectError(await call(host, { plugin: 'bridge', config, command }), 7);
        expectError(await call(host, { plugin: 'host-local', config }), 7);
        // What can't be allocated from can still be freed.
        expectSilent(await call(host, { plugin: 'bridge', config, command: 'DEL' }));
      },
    );
    await nothingLeft();
  });

  test('of capability ipRanges, too', async () => {
    const config = { ...networks.bridge, runtimeConfig: { ipRanges: [[{ subnet: '10.30.5.0/24' }]] } };
    expectError(await call(host, { plugin: 'bridge', config }), 7, 'overlap');
    await nothingLeft();
  });
});

describe('a range that is used up', () => {
  const config = withIpam({
    ranges: [[{ subnet: '10.5.0.0/29' }], [{ subnet: 'fd05::/124', rangeEnd: 'fd05::3' }]],
  });

  test('code 102 that names range and holders; STATUS says 50; a DEL makes room', async () => {
    // Its own name: its subnet is not that of the other tests' bridge.
    const network = { ...config, name: 'tiny', bridge: 'cni0', isGateway: false };
    const containers = ['one', 'two'].map((name) => ({
      plugin: 'bridge',
      config: network,
      containerId: name,
      ifname: name,
    }));
    for (const container of containers) expectSilent(await call(host, container));
    const full = await snapshot(host);
    const error = expectError(await call(host, { plugin: 'bridge', config: network }), 102, 'fd05::');
    expect(error.details).toContain('one');
    // The IPv4 address that it had already got is free again.
    // The kernel adds an IPv6 address's local route some time after the address.
    expect(leftovers(full, await snapshot(host), [/ table local /])).toEqual(nothing);
    expectError(await call(host, { plugin: 'bridge', config: network, command: 'STATUS' }), 50, 'fd05::');
    const [first] = containers;
    if (first === undefined) throw new Error('no container');
    expectSilent(await call(host, { ...first, command: 'DEL' }));
    expectSilent(await call(host, { plugin: 'bridge', config: network, command: 'STATUS' }));
    expectSilent(await call(host, first));
    for (const container of containers) expectSilent(await call(host, { ...container, command: 'DEL' }));
    await nothingLeft();
  });
});

describe('a requested address', () => {
  test('that is taken, the gateway or outside of the ranges: code 102 by name, and nothing is left', async () => {
    const holder = { plugin: 'bridge', containerId: 'holder', ifname: 'holder', args: 'IP=10.30.0.77' };
    const added = await call(host, holder);
    expect(added.result?.ips?.[0]?.address).toBe('10.30.0.77/16');
    const held = await snapshot(host);
    const requests = ['10.30.0.77', '10.30.0.1', '10.30.0.0', '10.30.255.255', '10.31.0.5', 'fd00::5'];
    for (const address of requests) {
      const ways = [
        { args: `IP=${address}` },
        { config: { ...networks.bridge, runtimeConfig: { ips: [`${address}/16`] } } },
        { config: { ...networks.bridge, args: { cni: { ips: [address] } } } },
      ];
      for (const way of ways) expectError(await call(host, { plugin: 'bridge', ...way }), 102, address);
    }
    const both = { ...networks.bridge, runtimeConfig: { ips: ['10.30.0.78', '10.30.0.79'] } };
    expectError(await call(host, { plugin: 'bridge', config: both }), 102, '10.30.0.79');
    expect(leftovers(held, await snapshot(host))).toEqual(nothing);
    expectSilent(await call(host, { ...holder, command: 'DEL' }));
    await nothingLeft();
  });
});

describe('a bridge that has another address', () => {
  test('is refused with code 103 unless forceAddress; the address is free again', async () => {
    await host.shell(
      'ip link add taken type bridge; ip addr add 10.99.0.1/24 dev taken; ip link set taken up',
    );
    const taken = await snapshot(host);
    const config = { ...networks.bridge, bridge: 'taken' };
    expectError(
      await call(host, { plugin: 'bridge', config }),
      103,
      '"taken"',
      '10.99.0.1/24',
      '10.30.0.1/16',
    );
    expect(leftovers(taken, await snapshot(host))).toEqual(nothing);
    const container = { plugin: 'bridge', config: { ...config, forceAddress: true }, containerId: 'force' };
    expectSilent(await call(host, container));
    expectSilent(await call(host, { ...container, command: 'DEL' }));
    await host.exec(['ip', 'link', 'del', 'taken']);
    await nothingLeft();
  });
});
