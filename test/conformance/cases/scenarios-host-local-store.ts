import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { reservations } from '../../plugins/kernel-state.ts';
import { referenceBin } from '../../support/binaries.ts';
import type { TestHost } from '../../support/test-host.ts';
import { type Case, from, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { isNotReference } from '../suite/subjects.ts';

const directory = '/var/lib/cni/networks/pods';

/** The file of an address as the reference writes it, or used to: the format is what others rely on. */
const plant = (host: TestHost, address: string, content: string): void => {
  mkdirSync(host.path(directory), { recursive: true });
  writeFileSync(host.path(`${directory}/${address}`), content);
};

const fileOf = (host: TestHost, address: string): string =>
  readFileSync(host.path(`${directory}/${address}`), 'latin1');

/** DEL of a reservation that is in this form. */
const releases = (name: string, what: string, content: (container: Container) => string): Case => ({
  id: `host-local-releases-${name}`,
  covers: ['D1'],
  title: `DEL releases the addresses of ${what}, and no other's`,
  applies: only('host-local'),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container();
    for (const address of ['10.30.0.2', '10.30.0.3']) plant(trial.host, address, content(container));
    plant(trial.host, '10.30.0.4', 'somebody-else\r\neth0');
    plant(trial.host, '10.30.0.5', `${container.id}\r\nnet1`);
    await container.del();
    expect((await reservations(trial.host, 'pods')).toSorted()).toEqual(['10.30.0.4', '10.30.0.5']);
  },
});

/** What host-local keeps on disk. */
export const hostLocalStoreScenarios: readonly Case[] = [
  {
    id: 'host-local-files',
    covers: ['A1', 'D1'],
    title: 'writes one file for each address, and DEL removes those of its container',
    applies: only('host-local'),
    run: async (trial) => {
      const [first, second] = [await trial.container(), await trial.container()];
      for (const container of [first, second]) await container.add();
      expect([first, second].flatMap(({ addresses }) => addresses)).toEqual(['10.30.0.2', '10.30.0.3']);
      expect(fileOf(trial.host, '10.30.0.2')).toBe(`${first.id}\r\neth0`);
      expect(fileOf(trial.host, '10.30.0.3')).toBe(`${second.id}\r\neth0`);
      expect(fileOf(trial.host, 'last_reserved_ip.0').trim()).toBe('10.30.0.3');
      if (from('0.4.0')(trial.version)) await first.check();
      await first.del();
      expect(await reservations(trial.host, 'pods')).toEqual(['10.30.0.3']);
      await second.del();
      expect(await reservations(trial.host, 'pods')).toEqual([]);
    },
  },
  {
    id: 'host-local-data-dir',
    covers: [],
    title: 'keeps its files in dataDir',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.ipamConfig({ dataDir: '/run/elsewhere' }) });
      await container.add();
      const file = trial.host.path('/run/elsewhere/pods/10.30.0.2');
      expect(readFileSync(file, 'latin1')).toBe(`${container.id}\r\neth0`);
      expect(await reservations(trial.host, 'pods')).toEqual([]);
      await container.del();
      expect(() => readFileSync(file)).toThrow();
    },
  },
  {
    id: 'host-local-several-interfaces',
    covers: ['A4', 'D1'],
    title: 'gives each interface of a container an address, and frees that of one',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const first = await container.add();
      await container.add({ ifname: 'net1' });
      expect(container.addresses).toEqual(['10.30.0.3']);
      const ofFirst = { ifname: 'eth0', config: { ...container.config, prevResult: first } };
      await container.check(ofFirst);
      await container.del(ofFirst);
      expect(await reservations(trial.host, 'pods')).toEqual(['10.30.0.3']);
      await container.check({ ifname: 'net1' });
    },
  },
  {
    id: 'host-local-repeated-add',
    covers: ['A2'],
    title: 'a repeated ADD takes no second address',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      // Whether it fails or prints the same again is left to the plugin.
      const again = await container.attempt('ADD');
      if (again.exitCode === 0) expect(again.result).toEqual(container.result);
      expect(await reservations(trial.host, 'pods')).toEqual(['10.30.0.2']);
    },
  },
  {
    id: 'host-local-networks',
    covers: ['G5'],
    title: 'networks of different names have different addresses in use',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const [one, other] = [
        await trial.container(),
        await trial.container({ config: trial.config({ name: 'other' }) }),
      ];
      for (const container of [one, other]) await container.add();
      expect([one, other].flatMap(({ addresses }) => addresses)).toEqual(['10.30.0.2', '10.30.0.2']);
      await one.del();
      expect(await reservations(trial.host, 'other')).toEqual(['10.30.0.2']);
    },
  },
  releases('two-lines', 'container and interface', ({ id }) => `${id}\r\neth0`),
  releases(
    'white-space',
    'container and interface with white space around',
    ({ id }) => ` \n${id}\r\neth0\n `,
  ),
  releases('one-line', 'a container, as old releases wrote them', ({ id }) => id),
  releases('one-line-white-space', 'a container with white space around', ({ id }) => ` ${id}\n `),
  {
    id: 'host-local-respects-files',
    covers: ['A5'],
    title: 'gives no address that a file says is taken, and goes on after the last one given',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      plant(trial.host, '10.30.0.51', 'old-container');
      plant(trial.host, '10.30.0.52', 'container\r\neth0');
      plant(trial.host, 'last_reserved_ip.0', '10.30.0.50');
      const container = await trial.container();
      await container.add();
      expect(container.addresses).toEqual(['10.30.0.53']);
    },
  },
  {
    id: 'host-local-foreign-files',
    covers: ['D1'],
    title: 'other files and directories beside the addresses do not disturb it',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      plant(trial.host, 'README', 'none of yours');
      plant(trial.host, 'last_reserved_ip.0', 'nonsense');
      mkdirSync(trial.host.path(`${directory}/a-directory`));
      const container = await trial.container();
      await container.add();
      await container.check();
      await container.del();
      expect(await reservations(trial.host, 'pods')).toEqual([]);
      expect(fileOf(trial.host, 'README')).toBe('none of yours');
    },
  },
  {
    id: 'host-local-check-lost',
    covers: ['C3'],
    title: 'CHECK sees that the reservation is lost',
    applies: only('host-local'),
    versions: from('0.4.0'),
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      await container.check();
      await trial.host.exec(['rm', `${directory}/10.30.0.2`]);
      expectError(await container.attempt('CHECK'));
    },
  },
  {
    id: 'host-local-unknown-id',
    covers: ['D2'],
    title: 'DEL of an unknown container is done, also without any file',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const [known, unknown] = [await trial.container(), await trial.container()];
      expectSilence(await unknown.attempt('DEL'));
      await known.add();
      expectSilence(await unknown.attempt('DEL'));
      expect(await reservations(trial.host, 'pods')).toEqual(['10.30.0.2']);
    },
  },
  {
    id: 'host-local-silent',
    covers: ['P4'],
    title: 'the first use of a network makes no noise',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const command of ['ADD', 'DEL'] as const) {
        const { exitCode, stderr } = await container.attempt(command);
        expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      }
    },
  },
  {
    id: 'host-local-with-reference',
    covers: ['A5'],
    title: 'shares its files with the reference plugin: neither gives what the other gave, each frees it',
    applies: only('host-local'),
    subjects: isNotReference,
    versions: 'newest',
    run: async (trial) => {
      const own = { binDir: trial.subject.binDir };
      const reference = { binDir: referenceBin };
      const config = { ...trial.config(), cniVersion: '1.0.0' };
      const containers = [];
      for (const adder of [own, reference, own, reference]) {
        const container = await trial.container({ config });
        await container.add(adder);
        for (const checker of [own, reference]) await container.check(checker);
        containers.push(container);
      }
      expect(containers.flatMap(({ addresses }) => addresses)).toEqual([
        '10.30.0.2',
        '10.30.0.3',
        '10.30.0.4',
        '10.30.0.5',
      ]);
      for (const [index, container] of containers.entries()) await container.del(index < 2 ? reference : own);
      expect(await reservations(trial.host, 'pods')).toEqual([]);
    },
  },
];
