import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { breakTool, brokenEnv, mendTools } from '../faults/broken-tools.ts';
import { podwireBin } from '../support/binaries.ts';
import { startPlugin } from '../support/call-plugin.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { systemPath } from '../support/process.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { addChained, attachBefore, attemptChained, type Chained, collect } from './chained.ts';

const config = {
  cniVersion: '1.1.0',
  name: 'limited',
  type: 'bandwidth',
  ingressRate: 8_000_000,
  egressRate: 16_000_000,
  unshapedSubnets: ['10.0.0.0/8'],
};

let host: TestHost;
let pod: Pod;
let chain: Chained;
let before: Snapshot;
beforeEach(async (context) => {
  requireTool(context, 'tc');
  requireKernel(context, 'ifb');
  host = await createHost({ name: 'bandwidth' });
  pod = await host.addPod('pod');
  chain = await attachBefore(host, pod, config);
  before = await snapshot(host);
});
afterEach(() => host?.dispose());

const left = async (): Promise<unknown> => leftovers(before, await snapshot(host));

describe('a tool that fails during ADD: nothing is left', () => {
  const ways = {
    'refuses to work': "echo 'Operation not permitted' >&2; exit 1",
    'works, then fails': 'real "$@"; exit 2',
    'is killed': 'kill -9 $$',
    'works, then is killed': 'real "$@"; kill -9 $$',
  };
  test.for([
    ...Object.entries(ways).map(([way, script]) => ({ tool: 'ip', when: "*'type ifb'*", way, script })),
    ...Object.entries(ways).map(([way, script]) => ({ tool: 'tc', when: "*'add dev'*", way, script })),
  ])('$tool $way', async ({ tool, when, script }) => {
    await breakTool(host, tool, when, script);
    const { error } = await attemptChained(chain, { env: brokenEnv });
    await mendTools(host);
    expect(error).toMatchObject({ code: 100 });
    expect(await left()).toEqual(nothing);
    await addChained(chain);
    await chain.chained.check();
    await chain.chained.del();
    expect(await left()).toEqual(nothing);
  });

  test.for([
    {
      tool: 'ip',
      when: "*'type ifb'*",
      stderr: 'Error: Unknown device type.\nCommand failed -:1',
      named: 'ifb',
    },
    {
      tool: 'tc',
      when: "*'add dev'*",
      stderr: 'Error: Specified qdisc kind is unknown.\nCommand failed -:1',
      named: 'sch_htb',
    },
  ])('a kernel without $named is error 104', async ({ tool, when, stderr, named }) => {
    await breakTool(host, tool, when, `printf '${stderr.replaceAll('\n', '\\n')}\\n' >&2; exit 1`);
    const { error } = await attemptChained(chain, { env: brokenEnv });
    expect(error).toMatchObject({ code: 104, msg: expect.stringContaining(named) });
    expect(await left()).toEqual(nothing);
  });
});

test('SIGTERM, SIGINT and SIGHUP at any moment of ADD: undone with code 106, or complete', async () => {
  const seen = { undone: 0, complete: 0, early: 0 };
  for (let round = 0; round < 18; round += 1) {
    const signal = (['SIGTERM', 'SIGINT', 'SIGHUP'] as const)[round % 3] ?? 'SIGTERM';
    const { containerId, ifname } = chain.chained;
    const running = startPlugin(host, {
      binDir: podwireBin,
      plugin: 'bandwidth',
      command: 'ADD',
      containerId,
      ifname,
      netns: pod,
      config: { ...config, prevResult: chain.network.result },
    });
    await sleep(round * 3 * Math.random());
    running.kill(signal);
    const outcome = await running.outcome;
    if (outcome.exitCode === 0) {
      seen.complete += 1;
      chain.chained.result = outcome.result;
      await chain.chained.check();
      await chain.chained.del();
    } else if (outcome.signal === undefined) {
      seen.undone += 1;
      expect(outcome.error).toMatchObject({ code: 106 });
    } else seen.early += 1;
    expect(await left()).toEqual(nothing);
  }
  expect(seen.undone + seen.complete + seen.early).toBe(18);
});

describe('killed at every step', () => {
  const syscalls = [
    ...['mkdir', 'unlink', 'rename', 'write', 'setns', 'vfork', 'clone3', 'wait4', 'pidfd_open', 'poll'],
    ...['sendto', 'openat'],
  ];
  const traced = async (command: string, options: string[]) => {
    const env = {
      PATH: systemPath,
      CNI_COMMAND: command,
      CNI_CONTAINERID: chain.chained.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: chain.chained.ifname,
      CNI_PATH: podwireBin,
    };
    const stdin = JSON.stringify({ ...config, prevResult: chain.network.result });
    return host.attempt(['strace', '-qq', ...options, `${podwireBin}/bandwidth`], { env, stdin });
  };

  test.for(['ADD', 'DEL'])('%s: what is left goes with the next DEL, ADD or GC', async (command, context) => {
    requireTool(context, 'strace');
    const trace = `trace=${syscalls.map((syscall) => `?${syscall}`).join(',')}`;
    if (command === 'DEL') await addChained(chain);
    expect(await traced(command, ['-o', '/run/trace', '-e', trace])).toMatchObject({ exitCode: 0 });
    await chain.chained.del();
    const names = (await host.exec(['cat', '/run/trace']))
      .split('\n')
      .map((line) => line.slice(0, line.indexOf('(')))
      .filter((name) => syscalls.includes(name));
    let killed = 0;
    for (const [index, syscall] of names.entries()) {
      // Every other step; the files opened at start-up are many and change nothing.
      if (index % 2 !== 0 || (syscall === 'openat' && index % 8 !== 0)) continue;
      const n = names.slice(0, index + 1).filter((name) => name === syscall).length;
      if (command === 'DEL') await addChained(chain);
      const inject = `inject=${syscall}:signal=SIGKILL:when=${n}`;
      const outcome = await traced(command, ['-o', '/dev/null', '-e', `trace=${syscall}`, '-e', inject]);
      if (outcome.signal === 'SIGKILL') killed += 1;
      const way = (index / 2) % 3;
      if (way === 0) await chain.chained.del();
      else if (way === 1) await collect(host, config, []);
      else {
        // One that was complete but for its output stays complete, and so does what a DEL had not begun.
        const again = await attemptChained(chain);
        if (again.exitCode !== 0) expect(again.error).toMatchObject({ code: 103 });
        await chain.chained.del();
      }
      expect({ syscall, n, way, ...((await left()) as object) }).toEqual({ syscall, n, way, ...nothing });
    }
    expect(killed).toBeGreaterThan(5);
  });
});

test('many at once', async () => {
  const chains = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      const place = await host.addPod(`pod${index}`);
      return attachBefore(
        host,
        place,
        { ...config, name: `limited${index % 2}` },
        {
          network: {
            type: 'ptp',
            ipam: { type: 'host-local', subnet: `10.${60 + (index % 2)}.0.0/24` },
          },
        },
      );
    }),
  );
  const made = await snapshot(host);
  await Promise.all(chains.map(addChained));
  for (const each of chains) await each.chained.check();
  await Promise.all(chains.map((each) => each.chained.del()));
  expect(leftovers(made, await snapshot(host))).toEqual(nothing);
});
