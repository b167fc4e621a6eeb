import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { breakTool, brokenEnv, mendTools } from '../faults/broken-tools.ts';
import { podwireBin } from '../support/binaries.ts';
import { startPlugin } from '../support/call-plugin.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { addChained, attachBefore, attemptChained, type Chained } from './chained.ts';

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
