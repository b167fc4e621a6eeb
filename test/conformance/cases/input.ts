import { expect } from 'vitest';
import { expectResult } from '../../support/call-plugin.ts';
import { systemPath } from '../../support/process.ts';
import { before, type Case, every, specVersions } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';
import { hostsOf, resultIn } from '../suite/printed-result.ts';
import type { Trial } from '../suite/trial.ts';

/** A value that a key of a plugin's configuration can not have, and the word that an error has to say. */
const invalidValues: Record<string, { change: Record<string, unknown>; inside?: 'ipam'; named: RegExp }[]> = {
  bridge: [
    { change: { vlan: 5000 }, named: /vlan/i },
    { change: { isGateway: 'yes' }, named: /isGateway/i },
    { change: { mtu: 'big' }, named: /mtu/i },
  ],
  ptp: [
    { change: { mtu: 'big' }, named: /mtu/i },
    { change: { ipMasq: 'yes' }, named: /ipMasq/i },
  ],
  'host-local': [
    { change: { ranges: [[{ subnet: 'nonsense' }]] }, inside: 'ipam', named: /subnet|nonsense/i },
    { change: { ranges: [] }, inside: 'ipam', named: /range/i },
    { change: { routes: [{ dst: 'nonsense' }] }, inside: 'ipam', named: /dst|nonsense/i },
  ],
  static: [
    { change: { addresses: [{ address: 'nonsense' }] }, inside: 'ipam', named: /address|nonsense/i },
    { change: { routes: [{ dst: 'nonsense' }] }, inside: 'ipam', named: /dst|nonsense/i },
  ],
  portmap: [
    {
      change: { runtimeConfig: { portMappings: [{ hostPort: 70_000, containerPort: 80, protocol: 'tcp' }] } },
      named: /port/i,
    },
    { change: { snat: 'yes' }, named: /snat/i },
  ],
  bandwidth: [
    { change: { ingressRate: 0 }, named: /rate|burst/i },
    { change: { ingressRate: 'much' }, named: /rate/i },
  ],
  firewall: [{ change: { backend: 'nonsense' }, named: /backend|nonsense/i }],
  tuning: [
    { change: { mac: 'nonsense' }, named: /mac|nonsense/i },
    { change: { mtu: 'big' }, named: /mtu/i },
  ],
};

/** Keys that the specification reserves, in values that change nothing. */
const reserved = {
  args: { labels: [{ key: 'a', value: 'b' }], cni: { labels: [], unknown: 1 } },
  capabilities: { portMappings: false, unknown: true },
  'cni.dev/unknown': { any: 1 },
  dns: {},
  cniVersions: specVersions,
  disableCheck: true,
  disableGC: true,
  loadOnlyInlinedPlugins: true,
};

/** What a plugin makes of the configuration on stdin. */
export const inputCases: readonly Case[] = [
  {
    id: 'no-json',
    covers: ['I1'],
    title: 'a configuration that is no JSON object is error 6',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const stdin of ['', 'garbage', '{', '[]', '"text"', `${JSON.stringify(trial.config())}x`]) {
        for (const command of ['ADD', 'DEL'] as const) {
          const { code } = expectError(await container.attempt(command, { stdin }));
          expect({ stdin, code }).toEqual({ stdin, code: 6 });
        }
      }
    },
  },
  {
    id: 'unreadable',
    covers: ['I1'],
    title: 'a configuration that cannot be read is error 5',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const { binDir } = trial.subject;
      const env = {
        PATH: systemPath,
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'unreadable',
        CNI_NETNS: '/run/netns/none',
        CNI_IFNAME: 'eth0',
        CNI_PATH: binDir,
      };
      const argv = ['/bin/sh', '-c', `exec "$0" </run`, `${binDir}/${trial.profile.type}`];
      const { exitCode, stdout } = await trial.host.attempt(argv, { env });
      expect(exitCode).not.toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ code: 5 });
    },
  },
  {
    id: 'invalid-values',
    covers: ['I1'],
    title: 'a value that a key can not have is error 7 or 2, which names it',
    applies: ({ type }) => type in invalidValues,
    versions: 'newest',
    run: async (trial) => {
      for (const { change, inside, named } of invalidValues[trial.profile.type] ?? []) {
        const container = await trial.container();
        const spoiled = inside === 'ipam' ? trial.ipamConfig(change) : { ...container.config, ...change };
        const prevResult = container.earlier === undefined ? {} : { prevResult: container.earlier };
        const outcome = await container.attempt('ADD', { config: { ...spoiled, ...prevResult } });
        expect(expectError(outcome, 2, 7).msg).toMatch(named);
      }
    },
  },
  {
    id: 'unknown-version',
    covers: ['I2'],
    title: 'a cniVersion that the plugin does not announce is error 1',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const cniVersion of ['9.9.9', '0.9.0', '2.0.0']) {
        for (const command of ['ADD', 'DEL'] as const) {
          expectError(await container.attempt(command, { config: trial.config({ cniVersion }) }), 1);
        }
      }
    },
  },
  {
    id: 'no-version',
    covers: ['I2'],
    title: 'without cniVersion the oldest version is spoken, or refused by those that do not know it',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const { cniVersion: _, ...config } = container.config;
      const plain = {
        address: `${hostsOf(container.earlier ?? { cniVersion: '' })[0]}/32`,
        gateway: '169.254.1.1',
      };
      const prevResult = trial.profile.role === 'chained' ? { prevResult: resultIn('0.1.0', plain) } : {};
      const outcome = await container.attempt('ADD', { config: { ...config, ...prevResult } });
      if (!(await announced(trial)).includes('0.1.0')) return void expectError(outcome, 1);
      const result = expectResult(outcome);
      expect(['0.1.0', '0.2.0']).toContain(result.cniVersion);
      expect(result.interfaces).toBeUndefined();
      expect(result.ip4?.ip).toBeDefined();
    },
  },
  {
    id: 'check-before-0.4.0',
    covers: ['I3'],
    title: 'CHECK of a configuration before 0.4.0 is error 1',
    applies: every,
    versions: before('0.4.0'),
    run: async (trial) => {
      const container = await trial.container();
      expectError(await container.attempt('CHECK'), 1);
    },
  },
  {
    id: 'gc-and-status-before-1.1.0',
    covers: ['I3'],
    title: 'GC and STATUS of a configuration before 1.1.0 are error 1, or any where 1.1.0 is not known',
    applies: every,
    versions: before('1.1.0'),
    run: async (trial) => {
      const codes = (await announced(trial)).includes('1.1.0') ? [1] : [];
      expectError(await trial.callNetwork('GC', trial.config(), []), ...codes);
      expectError(await trial.callNetwork('STATUS', trial.config()), ...codes);
    },
  },
  {
    id: 'reserved-keys',
    covers: ['I4', 'I5'],
    title: "the specification's own keys, and those of a list, disturb no verb",
    applies: every,
    // An older one is chosen from a list with newer ones, too.
    versions: (version) => ['0.2.0', '0.4.0', '1.0.0', '1.1.0'].includes(version),
    run: async (trial) => {
      const ipam = trial.profile.config.ipam === undefined ? { ipam: {} } : {};
      const container = await trial.container({ config: trial.config({ ...reserved, ...ipam }) });
      expect((await container.add()).cniVersion).toBe(trial.version);
      await container.del();
    },
  },
  {
    id: 'version',
    covers: ['V1'],
    title: 'VERSION prints the supported versions, whatever stdin is and with no other variable',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const inputs = [{ stdin: '{"cniVersion":"1.0.0"}' }, { stdin: '', holdStdin: true }, {}];
      for (const input of inputs) {
        const env = { CNI_PATH: undefined, CNI_IFNAME: undefined };
        const outcome = await trial.call('VERSION', { ...input, env, timeout: 10_000 });
        const { cniVersion, supportedVersions } = expectResult(outcome);
        expect(cniVersion).toMatch(/^\d+\.\d+\.\d+$/);
        expect(supportedVersions).toContain(trial.version);
      }
      const file = `${trial.subject.binDir}/${trial.profile.type}`;
      const env = { CNI_COMMAND: 'VERSION' };
      const closed = await trial.host.exec(['/bin/sh', '-c', 'exec "$0" <&-', file], { env });
      expect(JSON.parse(closed)).toMatchObject({
        supportedVersions: expect.arrayContaining([trial.version]),
      });
    },
  },
  {
    id: 'version-echo',
    covers: ['V1'],
    title: 'VERSION answers in the version that it is asked in',
    applies: every,
    run: async (trial) => {
      const outcome = await trial.call('VERSION', { config: { cniVersion: trial.version } });
      expect(expectResult(outcome).cniVersion).toBe(trial.version);
    },
  },
];

/** The versions that VERSION prints. */
const announced = async (trial: Trial): Promise<string[]> =>
  expectResult(await trial.call('VERSION', { config: { cniVersion: '1.0.0' } })).supportedVersions ?? [];
