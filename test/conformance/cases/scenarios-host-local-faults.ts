import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { reservations } from '../../plugins/kernel-state.ts';
import { newContainerId, type PrintedResult, startPlugin } from '../../support/call-plugin.ts';
import { type Case, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import type { Trial } from '../suite/trial.ts';

/** Starts ADD of a container that has no netns of its own: host-local does not look at it. */
const startAdd = (trial: Trial, containerId: string, config = trial.config()) =>
  startPlugin(trial.host, {
    binDir: trial.subject.binDir,
    plugin: 'host-local',
    command: 'ADD',
    containerId,
    netns: '/run/netns/none',
    config,
  });

const del = async (trial: Trial, containerId: string, config = trial.config()): Promise<void> =>
  expectSilence(await trial.call('DEL', { containerId, netns: '/run/netns/none', config }));

// From a shell, so that no call waits for its input. Prints the ids of those that fail.
const addAtOnce = `
  mkdir /run/out
  echo "$CONFIG" >/run/config
  export CNI_COMMAND=ADD CNI_NETNS=/run/netns/none CNI_IFNAME=eth0 CNI_PATH="$BIN"
  for id in $(seq 300); do
    { CNI_CONTAINERID=pod$id "$BIN/host-local" </run/config >/run/out/$id || echo $id; } &
  done
  wait
`;

/** ADD and DEL with this done to the disk in between; it works again after `mend`. */
const onDisk = (name: string, title: string, damage: string, mend: string): Case => ({
  id: `host-local-${name}`,
  covers: ['P2'],
  title,
  applies: only('host-local'),
  versions: 'newest',
  run: async (trial) => {
    const [before, after] = [await trial.container(), await trial.container()];
    await trial.host.shell(
      'mkdir -p /var/lib/cni/networks; mount -t tmpfs -o size=64k tmpfs /var/lib/cni/networks',
    );
    await before.add();
    await trial.host.shell(damage);
    expectError(await after.attempt('ADD'));
    await trial.host.shell(mend);
    await after.del();
    expect(await reservations(trial.host, 'pods')).toEqual(['10.30.0.2']);
    await after.add();
    expect(await reservations(trial.host, 'pods')).toHaveLength(2);
    for (const container of [before, after]) await container.del();
    expect(await reservations(trial.host, 'pods')).toEqual([]);
  },
});

/** host-local killed, without a disk to write to, and asked by many at once. */
export const hostLocalFaultScenarios: readonly Case[] = [
  {
    id: 'host-local-killed',
    covers: ['D1'],
    title: 'after an ADD was killed at any moment, DEL frees what it had, and every address is usable',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const config = trial.ipamConfig({ ranges: [[{ subnet: '10.30.0.0/29' }]] });
      for (let halfMilliseconds = 0; halfMilliseconds < 24; halfMilliseconds += 1) {
        const containerId = newContainerId();
        const running = startAdd(trial, containerId, config);
        await sleep(halfMilliseconds / 2);
        running.kill('SIGKILL');
        await running.outcome;
        await del(trial, containerId, config);
        expect(await reservations(trial.host, 'pods')).toEqual([]);
      }
      for (let index = 0; index < 5; index += 1) {
        await (await trial.container({ config })).add();
      }
      expect(await reservations(trial.host, 'pods')).toHaveLength(5);
    },
  },
  onDisk(
    'disk-full',
    'ADD on a full disk fails and reserves nothing; it works when there is space again',
    'dd if=/dev/zero of=/var/lib/cni/networks/filling 2>/dev/null || true',
    'rm /var/lib/cni/networks/filling',
  ),
  onDisk(
    'read-only',
    'ADD on a disk that cannot be written fails; it works when it can',
    'mount -o remount,ro /var/lib/cni/networks',
    'mount -o remount,rw /var/lib/cni/networks',
  ),
  {
    id: 'host-local-parallel',
    covers: ['A5'],
    title: '300 ADDs at once get 300 addresses',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const config = JSON.stringify(trial.config());
      const env = { BIN: trial.subject.binDir, CONFIG: config };
      expect(await trial.host.shell(addAtOnce, { env })).toBe('');
      const outputs = readdirSync(trial.host.path('/run/out'));
      const addresses = outputs.map((id) => {
        const { ips } = JSON.parse(readFileSync(trial.host.path(`/run/out/${id}`), 'utf8')) as PrintedResult;
        return ips?.[0]?.address;
      });
      expect(new Set(addresses).size).toBe(300);
      expect(await reservations(trial.host, 'pods')).toHaveLength(300);
    },
  },
];
