import { expect, test } from 'vitest';
import { call, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { podwireBin } from '../support/binaries.ts';
import { requireTool } from '../support/needs.ts';
import { type Outcome, systemPath } from '../support/process.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { toolsHaveEnded } from './tools-have-ended.ts';

// What changes something, or stands between two changes.
const syscalls = [
  ...['mkdir', 'link', 'unlink', 'rename', 'write', 'pwrite64', 'ftruncate', 'utimensat', 'flock', 'setns'],
  ...['vfork', 'clone3', 'wait4', 'pidfd_open', 'sendto', 'poll'],
];

/** The `n`-th call of a system call, as strace counts. */
interface Step {
  syscall: string;
  n: number;
}

// host-local's template for reservations is one file for each network, and the next ADD makes it anew.
const kept = [/ cni0( |$)/, /^file \S+\/\.podwire\/[^/]+\/new /];
type Plugin = 'bridge' | 'veth';

/** A plugin call under strace. */
const traced = (host: TestHost, plugin: Plugin, command: string, options: string[]): Promise<Outcome> => {
  const env = {
    PATH: systemPath,
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'victim',
    CNI_NETNS: '/run/netns/pod',
    CNI_IFNAME: 'eth0',
    CNI_PATH: podwireBin,
  };
  const stdin = JSON.stringify(networks[plugin]);
  return host.attempt(['strace', '-qq', ...options, `${podwireBin}/${plugin}`], { env, stdin });
};

/** All the steps of a call that nobody disturbs. Not every architecture has all the system calls. */
const stepsOf = async (host: TestHost, plugin: Plugin, command: string): Promise<Step[]> => {
  const trace = `trace=${syscalls.map((syscall) => `?${syscall}`).join(',')}`;
  expect(await traced(host, plugin, command, ['-o', '/run/trace', '-e', trace])).toMatchObject({
    exitCode: 0,
  });
  const lines = (await host.exec(['cat', '/run/trace'])).split('\n');
  const names = lines
    .map((line) => line.slice(0, line.indexOf('(')))
    .filter((name) => syscalls.includes(name));
  return names.map((syscall, index) => ({
    syscall,
    n: names.slice(0, index + 1).filter((name) => name === syscall).length,
  }));
};

/** A call that is killed as it enters a step; it succeeds when it has fewer. */
const killedAt = (
  host: TestHost,
  plugin: Plugin,
  command: string,
  { syscall, n }: Step,
): Promise<Outcome> => {
  const inject = `inject=${syscall}:signal=SIGKILL:when=${n}`;
  return traced(host, plugin, command, ['-o', '/dev/null', '-e', `trace=${syscall}`, '-e', inject]);
};

interface Recovery {
  title: string;
  run(host: TestHost, plugin: Plugin): Promise<void>;
}
const victim = (plugin: Plugin) => ({ plugin, containerId: 'victim' });
const byDel: Recovery = {
  title: 'DEL',
  run: async (host, plugin) => expectSilent(await call(host, { ...victim(plugin), command: 'DEL' })),
};
const byDelWithoutNetns: Recovery = {
  title: 'DEL without netns',
  run: async (host, plugin) =>
    expectSilent(await call(host, { ...victim(plugin), command: 'DEL', env: { CNI_NETNS: '' } })),
};
const byGc: Recovery = {
  title: 'GC',
  run: async (host, plugin) => {
    const config = {
      ...networks[plugin],
      'cni.dev/valid-attachments': [{ containerID: 'other', ifname: 'other' }],
    };
    expectSilent(await call(host, { plugin, command: 'GC', config }));
  },
};
const byAdd: Recovery = {
  title: 'a repeated ADD',
  run: async (host, plugin) => {
    const again = await call(host, victim(plugin));
    // One that was complete but for its output stays complete: its DEL has to come first.
    if (again.exitCode !== 0) expectError(again, 103, 'eth0');
    else expect(again.result?.ips).toHaveLength(1);
    await byDel.run(host, plugin);
  },
};

/** Kills calls at every third step from `first`; after each of them, recovery leaves nothing. */
const killAll = async (plugin: Plugin, command: 'ADD' | 'DEL', recovery: Recovery, first: number) => {
  await using host = await createPluginHost(`${command}-${recovery.title}`);
  await host.addPod('pod');
  // The first pod makes the bridge and the packet filter's frame; the killed ones are ordinary.
  expectSilent(await call(host, { plugin, containerId: 'other', ifname: 'other' }));
  const before: Snapshot = await snapshot(host);
  if (command === 'DEL') expectSilent(await call(host, victim(plugin)));
  const steps = await stepsOf(host, plugin, command);
  await byDel.run(host, plugin);
  let killed = 0;
  for (const [index, step] of steps.entries()) {
    if (index % 3 !== first) continue;
    if (command === 'DEL') expectSilent(await call(host, victim(plugin)));
    const outcome = await killedAt(host, plugin, command, step);
    await toolsHaveEnded(host);
    if (outcome.signal === 'SIGKILL') killed += 1;
    else expect(outcome).toMatchObject({ exitCode: 0, stderr: '' });
    await recovery.run(host, plugin);
    const left = leftovers(before, await snapshot(host), kept);
    expect({ step, ...left }).toEqual({ step, ...nothing });
  }
  expect(killed).toBeGreaterThan(5);
};

const rows = (['bridge', 'veth'] as const).flatMap((plugin) => [
  { plugin, command: 'ADD' as const, recoveries: [byDel, byGc, byAdd] },
  { plugin, command: 'DEL' as const, recoveries: [byDel, byGc, byDelWithoutNetns] },
]);
test.for(rows)(
  '$command of $plugin, killed at every step: what is left goes with the next call',
  async (row, context) => {
    requireTool(context, 'strace');
    const { plugin, command, recoveries } = row;
    // The three take turns at the steps.
    await Promise.all(recoveries.map((recovery, index) => killAll(plugin, command, recovery, index)));
  },
);
