import { describe, expect, test } from 'vitest';
import type { BandwidthKeys } from './bandwidth-keys.ts';
import { ifbNames } from './ifb-name.ts';
import { findShapingLacks } from './lacks.ts';
import { newShaping } from './mend.ts';
import { planShaping } from './plan.ts';
import { nothingYet } from './state.ts';
import { subnetKeys } from './subnet-keys.ts';

const ifb = { name: 'bwp0', alias: 'podwire:net/pod/eth0', mac: '02:00:00:00:00:01' };
const both: BandwidthKeys = {
  ingress: { rate: 8_000_000, burst: 800_000 },
  egress: { rate: 16_000_000, burst: 1_600_000 },
};
const linesOf = (keys: BandwidthKeys) => {
  const { ip, tc } = newShaping(planShaping(keys, { device: 'veth0', mtu: 1500 }, ifb), undefined);
  return { ip: ip.toString().trimEnd().split('\n'), tc: tc.toString().trimEnd().split('\n') };
};

describe('the lines for a new veth', () => {
  test('both directions, as the reference has them', () => {
    expect(linesOf(both)).toEqual({
      ip: [
        'link add name bwp0 address 02:00:00:00:00:01 mtu 1500 txqueuelen 0 up type ifb',
        'link set dev bwp0 alias podwire:net/pod/eth0',
      ],
      tc: [
        'qdisc add dev veth0 root handle 1: tbf rate 1000000bps burst 100000 limit 125000',
        'qdisc add dev bwp0 root handle 1: tbf rate 2000000bps burst 200000 limit 250000',
        'qdisc add dev veth0 handle ffff: ingress',
        'filter add dev veth0 parent ffff: protocol all prio 1 u32 match u32 0x0 0x0 flowid 1:1' +
          ' action mirred egress redirect dev bwp0',
      ],
    });
  });

  test('only to the container: no ifb', () => {
    expect(linesOf({ ingress: { rate: 8_000_000, burst: 800_000 } })).toEqual({
      ip: [''],
      tc: ['qdisc add dev veth0 root handle 1: tbf rate 1000000bps burst 100000 limit 125000'],
    });
  });

  test('subnets that are not shaped pass htb by its direct queue, and the ifb by', () => {
    const selection = { shaped: false, subnets: ['10.0.0.0/9', 'fd00:1::/40'] };
    expect(linesOf({ ...both, selection }).tc).toEqual([
      'qdisc add dev veth0 root handle 1: htb default 30 direct_qlen 1000',
      'class add dev veth0 parent 1: classid 1:30 htb rate 1000000bps ceil 1000000bps burst 100000 cburst 100000 quantum 1514',
      'qdisc add dev veth0 parent 1:30 handle 30: bfifo limit 125000',
      'filter add dev veth0 parent 1: protocol ip prio 1 u32 match u32 0xa000000 0xff800000 at 12 flowid 1:',
      'filter add dev veth0 parent 1: protocol ipv6 prio 2 u32 match u32 0xfd000001 0xffffffff at 8' +
        ' match u32 0x0 0xff000000 at 12 flowid 1:',
      'qdisc add dev bwp0 root handle 1: tbf rate 2000000bps burst 200000 limit 250000',
      'qdisc add dev veth0 handle ffff: ingress',
      'filter add dev veth0 parent ffff: protocol ip prio 1 u32 match u32 0xa000000 0xff800000 at 16 flowid 1:1',
      'filter add dev veth0 parent ffff: protocol ipv6 prio 2 u32 match u32 0xfd000001 0xffffffff at 24' +
        ' match u32 0x0 0xff000000 at 28 flowid 1:1',
      'filter add dev veth0 parent ffff: protocol all prio 3 u32 match u32 0x0 0x0 flowid 1:1' +
        ' action mirred egress redirect dev bwp0',
    ]);
  });

  test('only shaped subnets are redirected', () => {
    const selection = { shaped: true, subnets: ['192.0.2.0/24'] };
    expect(linesOf({ ...both, selection }).tc.filter((line) => /^filter|htb default/.test(line))).toEqual([
      'qdisc add dev veth0 root handle 1: htb default 0 direct_qlen 1000',
      'filter add dev veth0 parent 1: protocol ip prio 1 u32 match u32 0xc0000200 0xffffff00 at 12 flowid 1:30',
      'filter add dev veth0 parent ffff: protocol ip prio 1 u32 match u32 0xc0000200 0xffffff00 at 16 flowid 1:1' +
        ' action mirred egress redirect dev bwp0',
    ]);
  });

  test('an interface whose name no batch can carry is refused', () => {
    const plan = planShaping(both, { device: 'a"b', mtu: 1500 }, ifb);
    expect(() => newShaping(plan, undefined)).toThrow(/cannot be handed to the tc command/);
  });
});

test('an interface that is missing is all that is said', () => {
  const plan = planShaping(both, { device: 'veth0', mtu: 1500 }, ifb);
  expect(findShapingLacks(plan, nothingYet)).toEqual([
    { part: 'device', what: 'the host interface "veth0" is missing' },
  ]);
});

test.each([
  ['0.0.0.0/0', [[0, 0, 12]]],
  ['10.1.2.3/32', [[0x0a010203, 0xffffffff, 12]]],
  ['::/0', [[0, 0, 8]]],
  ['fd00::/8', [[0xfd000000, 0xff000000, 8]]],
  [
    'fd00:1:2:3::/64',
    [
      [0xfd000001, 0xffffffff, 8],
      [0x00020003, 0xffffffff, 12],
    ],
  ],
  [
    '2001:db8::1/128',
    [
      [0x20010db8, 0xffffffff, 8],
      [0, 0xffffffff, 12],
      [0, 0xffffffff, 16],
      [1, 0xffffffff, 20],
    ],
  ],
])('the source words that %s fixes', (subnet, words) => {
  expect(subnetKeys(subnet, 'source').map(({ value, mask, offset }) => [value, mask, offset])).toEqual(words);
});

test("an ifb's first name is the reference plugin's", () => {
  const owner = { network: 'n', containerId: 'c1', ifname: 'eth0' };
  expect(ifbNames(owner)[0]).toBe('bwp9b00b9b7c279');
  expect(ifbNames({ ...owner, ifname: 'net1' })[0]).toBe('bwp9b00b9b7c279');
  expect(ifbNames({ ...owner, ifname: 'net1' })[1]).not.toBe(ifbNames(owner)[1]);
});
