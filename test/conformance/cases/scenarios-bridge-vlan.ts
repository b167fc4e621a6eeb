import { expect } from 'vitest';
import { addressesOf, linkNames, linkOf } from '../../plugins/kernel-state.ts';
import { requireKernel } from '../../support/needs.ts';
import type { TestHost } from '../../support/test-host.ts';
import { ping } from '../../support/traffic.ts';
import { type Case, only } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';

const needed = 'bridge vlan filtering';

/** What `bridge -j vlan` shows of a port: `1`, `100 pvid untagged`. */
const vlansOf = async (host: TestHost, port: string): Promise<string[]> => {
  const output = await host.exec(['bridge', '-j', 'vlan', 'show', 'dev', port]);
  const ports = JSON.parse(output) as { vlans: { vlan: number; vlanEnd?: number; flags?: string[] }[] }[];
  return ports.flatMap(({ vlans }) =>
    vlans.flatMap(({ vlan, vlanEnd = vlan, flags = [] }) =>
      Array.from({ length: vlanEnd - vlan + 1 }, (_, index) =>
        [vlan + index, ...flags.map((flag) => flag.replace('Egress ', '').toLowerCase())].join(' '),
      ),
    ),
  );
};

/** The VLANs that a port is in. */
const portVlans = (name: string, keys: Record<string, unknown>, expected: string[]): Case => ({
  id: `bridge-vlan-${name}`,
  covers: [],
  title: `${JSON.stringify(keys)}: the port is in VLAN ${expected.join(', ')}`,
  applies: only('bridge'),
  versions: 'newest',
  run: async (trial) => {
    requireKernel(trial.context, needed);
    const config = trial.config({ isGateway: false, ipMasq: false, ...keys });
    const container = await trial.container({ config });
    const { interfaces } = await container.add();
    expect(await vlansOf(trial.host, interfaces?.[1]?.name ?? '')).toEqual(expected);
    await container.check();
    await container.del();
  },
});

const refused = (name: string, keys: Record<string, unknown>): Case => ({
  id: `bridge-vlan-${name}`,
  covers: ['I1'],
  title: `refuses ${JSON.stringify(keys)}, and makes nothing`,
  applies: only('bridge'),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container({ config: trial.config(keys) });
    expectError(await container.attempt('ADD'));
    expect(await linkNames(trial.host)).toEqual(['lo']);
  },
});

/** The VLANs of a bridge. Most need a kernel that filters them. */
export const bridgeVlanScenarios: readonly Case[] = [
  portVlans('access', { vlan: 100 }, ['100 pvid untagged']),
  portVlans('native', { vlan: 1 }, ['1 pvid untagged']),
  portVlans('native-kept', { vlan: 100, preserveDefaultVlan: true }, ['1 untagged', '100 pvid untagged']),
  portVlans('native-dropped', { vlan: 100, preserveDefaultVlan: false }, ['100 pvid untagged']),
  portVlans('trunk', { vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 202 }] }, [
    '1 pvid untagged',
    '101',
    '200',
    '201',
    '202',
  ]),
  portVlans('and-trunk', { vlan: 100, vlanTrunk: [{ id: 101 }] }, ['100 pvid untagged', '101']),
  {
    id: 'bridge-vlan-gateway',
    covers: [],
    title: 'the gateway of a VLAN is on a device of its own, and the VLAN is apart',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      requireKernel(trial.context, needed);
      const inVlan = (vlan: number) => ({
        ...trial.ipamConfig({ ranges: [[{ subnet: `10.30.${vlan}.0/24` }]] }),
        name: `vlan${vlan}`,
        ipMasq: false,
        vlan,
      });
      const a = await trial.container({ config: inVlan(100) });
      const b = await trial.container({ config: inVlan(100) });
      const c = await trial.container({ config: inVlan(200) });
      for (const container of [a, b, c]) await container.add();
      const { address: mac } = await linkOf(trial.host, 'cni0.100');
      expect(a.result?.interfaces?.slice(3)).toEqual([expect.objectContaining({ name: 'cni0.100', mac })]);
      expect(await addressesOf(trial.host, 'cni0.100')).toEqual(['10.30.100.1/24']);
      expect(await addressesOf(trial.host, 'cni0')).toEqual([]);
      expect(await ping(a.pod, '10.30.100.1')).toBe(true);
      expect(await ping(a.pod, b.addresses[0] ?? '')).toBe(true);
      // Not by the link, when it takes c's subnet for its own.
      await a.pod.exec(['ip', 'addr', 'add', '10.30.200.77/24', 'dev', 'eth0']);
      expect(await ping(a.pod, c.addresses[0] ?? '')).toBe(false);
      for (const container of [a, b, c]) await container.check();
      for (const container of [a, b, c]) await container.del();
    },
  },
  refused('too-high', { vlan: 4095 }),
  refused('negative', { vlan: -1 }),
  ...Object.entries({
    'id-zero': [{ id: 0 }],
    'id-too-high': [{ id: 5 }, { id: 4095 }],
    'id-negative': [{ id: -1 }],
    'without-maximum': [{ minID: 5 }],
    'without-minimum': [{ maxID: 5 }],
    'turned-round': [{ minID: 6, maxID: 5 }],
    'minimum-zero': [{ minID: 0, maxID: 5 }],
    'maximum-too-high': [{ minID: 1, maxID: 4095 }],
  }).map(([name, vlanTrunk]) => refused(`trunk-${name}`, { vlanTrunk })),
];
