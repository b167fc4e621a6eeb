import { expect } from 'vitest';
import { reservations } from '../../plugins/kernel-state.ts';
import { type Case, from, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError } from '../suite/expectations.ts';
import type { NetworkConfig, Trial } from '../suite/trial.ts';

/** ADD of this many containers, one after the other; their first addresses. */
const addAll = async (trial: Trial, count: number, config: NetworkConfig): Promise<Container[]> => {
  const containers: Container[] = [];
  for (let index = 0; index < count; index += 1) {
    const container = await trial.container({ config });
    await container.add();
    containers.push(container);
  }
  return containers;
};

const firstOf = ({ addresses }: Container): string | undefined => addresses[0];

/** What successive containers get of an "ipam", and whether there is more after that. */
const sequence = (
  name: string,
  title: string,
  ipam: Record<string, unknown>,
  expected: string[],
  more: boolean,
): Case => ({
  id: `host-local-${name}`,
  covers: [],
  title,
  applies: only('host-local'),
  versions: 'newest',
  run: async (trial) => {
    const config = trial.config({ ipam: { type: 'host-local', ...ipam } });
    const containers = await addAll(trial, expected.length, config);
    expect(containers.map(firstOf)).toEqual(expected);
    if (more) return;
    const last = await trial.container({ config });
    expectError(await last.attempt('ADD'));
    expect((await reservations(trial.host, 'pods')).toSorted()).toEqual(expected.toSorted());
    await containers[0]?.del();
    await last.add();
    expect(firstOf(last)).toBe(expected[0]);
  },
});

const refused = (name: string, ipam: Record<string, unknown>): Case => ({
  id: `host-local-refuses-${name}`,
  covers: ['I1'],
  title: `refuses ${JSON.stringify(ipam)}`,
  applies: only('host-local'),
  versions: 'newest',
  run: async (trial) => {
    const config = trial.config({ ipam: { type: 'host-local', ...ipam } });
    const container = await trial.container({ config });
    expectError(await container.attempt('ADD'));
    expect(await reservations(trial.host, 'pods')).toEqual([]);
  },
});

/** Which addresses host-local gives. */
export const hostLocalRangeScenarios: readonly Case[] = [
  sequence(
    'usable-addresses',
    'gives neither the network, the gateway nor the broadcast address',
    { subnet: '10.30.0.0/29' },
    ['10.30.0.2', '10.30.0.3', '10.30.0.4', '10.30.0.5', '10.30.0.6'],
    false,
  ),
  sequence(
    'smallest-subnet',
    'a /30 has one address',
    { ranges: [[{ subnet: '10.30.0.0/30' }]] },
    ['10.30.0.2'],
    false,
  ),
  sequence(
    'start-and-end',
    'keeps to rangeStart and rangeEnd, both included',
    { subnet: '10.30.0.0/16', rangeStart: '10.30.5.255', rangeEnd: '10.30.6.1' },
    ['10.30.5.255', '10.30.6.0', '10.30.6.1'],
    false,
  ),
  sequence(
    'gateway-inside',
    'passes over a gateway inside of the range',
    {
      ranges: [
        [{ subnet: '10.30.0.0/24', rangeStart: '10.30.0.7', rangeEnd: '10.30.0.9', gateway: '10.30.0.8' }],
      ],
    },
    ['10.30.0.7', '10.30.0.9'],
    false,
  ),
  sequence(
    'alternatives',
    'goes on in the next range of a set',
    {
      ranges: [
        [
          { subnet: '10.30.0.0/24', rangeStart: '10.30.0.9', rangeEnd: '10.30.0.9' },
          { subnet: '10.31.0.0/24', rangeStart: '10.31.0.9', rangeEnd: '10.31.0.10' },
        ],
      ],
    },
    ['10.30.0.9', '10.31.0.9', '10.31.0.10'],
    false,
  ),
  sequence(
    'ipv6-range',
    'gives IPv6 addresses of a range',
    { ranges: [[{ subnet: 'fd30::/64', rangeStart: 'fd30::ffff', rangeEnd: 'fd30::1:1' }]] },
    ['fd30::ffff', 'fd30::1:0', 'fd30::1:1'],
    false,
  ),
  {
    id: 'host-local-round-robin',
    covers: [],
    title: 'gives an address that has just been freed last, and starts again at the end of the range',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const ipam = {
        type: 'host-local',
        subnet: '10.30.0.0/24',
        rangeStart: '10.30.0.10',
        rangeEnd: '10.30.0.12',
      };
      const config = trial.config({ ipam });
      const [first, second] = await addAll(trial, 2, config);
      await first?.del();
      const [third] = await addAll(trial, 1, config);
      await second?.del();
      const [fourth, fifth] = await addAll(trial, 2, config);
      expect([third, fourth, fifth].map((container) => container && firstOf(container))).toEqual([
        '10.30.0.12',
        '10.30.0.10',
        '10.30.0.11',
      ]);
    },
  },
  {
    id: 'host-local-several-sets',
    covers: ['A1', 'R5'],
    title: 'gives an address of each set, in their order, with its own prefix and gateway',
    applies: only('host-local'),
    versions: from('0.3.0'),
    run: async (trial) => {
      const ranges = [
        [{ subnet: '10.30.0.0/16' }],
        [{ subnet: '10.31.0.0/24', gateway: '10.31.0.254' }],
        [{ subnet: 'fd30::/64' }],
      ];
      const container = await trial.container({ config: trial.ipamConfig({ ranges }) });
      const { ips = [] } = await container.add();
      expect(ips.map(({ address, gateway }) => [address, gateway])).toEqual([
        ['10.30.0.2/16', '10.30.0.1'],
        ['10.31.0.1/24', '10.31.0.254'],
        ['fd30::2/64', 'fd30::1'],
      ]);
      const reserved = await reservations(trial.host, 'pods');
      expect(reserved.toSorted()).toEqual(['10.30.0.2', '10.31.0.1', 'fd30::2']);
      await container.del();
      expect(await reservations(trial.host, 'pods')).toEqual([]);
    },
  },
  {
    id: 'host-local-all-or-none',
    covers: ['A2'],
    title: 'reserves nothing when one of the sets is used up',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const ranges = [[{ subnet: '10.30.0.0/16' }], [{ subnet: '10.31.0.0/30' }]];
      const config = trial.ipamConfig({ ranges });
      await addAll(trial, 1, config);
      const second = await trial.container({ config });
      expectError(await second.attempt('ADD'));
      expect((await reservations(trial.host, 'pods')).toSorted()).toEqual(['10.30.0.2', '10.31.0.2']);
    },
  },
  {
    id: 'host-local-capability-ranges',
    covers: [],
    title: 'gives an address of the ranges by capability first, then of its own',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const runtimeConfig = { ipRanges: [[{ subnet: '10.40.0.0/16' }], [{ subnet: 'fd40::/64' }]] };
      const container = await trial.container({ config: trial.config({ runtimeConfig }) });
      await container.add();
      expect(container.addresses).toEqual(['10.40.0.2', 'fd40::2', '10.30.0.2']);
    },
  },
  {
    id: 'host-local-resolv-conf',
    covers: [],
    title: 'reports the dns of the resolvConf file',
    applies: only('host-local'),
    run: async (trial) => {
      await trial.host.shell(
        "printf 'nameserver 192.0.2.1\\nnameserver 2001:db8::1\\ndomain d.test\\nsearch a.test b.test\\noptions ndots:2\\n# end\\n' >/run/resolv",
      );
      const container = await trial.container({ config: trial.ipamConfig({ resolvConf: '/run/resolv' }) });
      expect((await container.add()).dns).toEqual({
        nameservers: ['192.0.2.1', '2001:db8::1'],
        domain: 'd.test',
        search: ['a.test', 'b.test'],
        options: ['ndots:2'],
      });
    },
  },
  ...Object.entries({
    'no-range': {},
    'host-bits': { subnet: '10.1.0.5/24' },
    'a-pair': { subnet: '10.1.0.0/31' },
    'a-single-address': { subnet: '10.1.0.0/32' },
    'an-ipv6-pair': { subnet: 'fd00::/127' },
    'start-outside': { subnet: '10.1.0.0/24', rangeStart: '10.2.0.5' },
    'end-outside': { subnet: '10.1.0.0/24', rangeEnd: '10.2.0.5' },
    'end-before-start': { subnet: '10.1.0.0/24', rangeStart: '10.1.0.9', rangeEnd: '10.1.0.8' },
    'two-families-in-a-set': { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: 'fd00::/64' }]] },
    'overlap-in-a-set': { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: '10.1.0.0/25' }]] },
    'overlap-of-sets': { ranges: [[{ subnet: '10.1.0.0/16' }], [{ subnet: '10.1.7.0/24' }]] },
  }).map(([name, ipam]) => refused(name, ipam)),
];
