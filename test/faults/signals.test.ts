import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, completed, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { startPlugin } from '../support/call-plugin.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { waitUntil } from '../support/wait-until.ts';
import { breakTool, brokenEnv, mendTools, ofHost } from './broken-tools.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('signals');
  await host.addPod('pod');
  expectSilent(await call(host, { plugin: 'bridge', containerId: 'other', ifname: 'other' }));
  expectSilent(await call(host, { plugin: 'veth', containerId: 'other', ifname: 'routed' }));
  before = await snapshot(host);
});
afterAll(() => host.dispose());

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);

// The tool tells that it has begun, and takes its time.
const slowly = 'touch /run/started; sleep 0.3; real "$@"';
const untilStarted = async (): Promise<void> => {
  await waitUntil('the tool has begun', () => existsSync(host.path('/run/started')));
  await host.exec(['rm', '/run/started']);
};

describe('SIGTERM, SIGINT and SIGHUP at any moment of ADD', () => {
  test.each(['bridge', 'veth', 'host-local'] as const)(
    '%s: it is undone with code 106, or complete',
    async (plugin) => {
      const seen: Record<string, number> = {};
      for (let round = 0; round < 24; round += 1) {
        const signal = (['SIGTERM', 'SIGINT', 'SIGHUP'] as const)[round % 3] ?? 'SIGTERM';
        const container = { plugin, containerId: `signalled-${round}` };
        const running = startPlugin(host, completed(container));
        // From before its first line to after its last.
        await sleep(round * 3 * Math.random());
        running.kill(signal);
        const outcome = await running.outcome;
        if (outcome.exitCode === 0) {
          const config = { ...networks[plugin], prevResult: outcome.result };
          expectSilent(await call(host, { ...container, config, command: 'CHECK' }));
          expectSilent(await call(host, { ...container, config, command: 'DEL' }));
        } else if (outcome.signal === undefined) expectError(outcome, 106, signal);
        // Before it has read its input, it has made nothing and just ends.
        else expect(outcome).toMatchObject({ signal, stdout: '' });
        const end = outcome.exitCode === 0 ? 'complete' : (outcome.signal ?? 'undone');
        seen[end] = (seen[end] ?? 0) + 1;
        if (round % 4 === 3) await nothingLeft();
      }
      expect(Object.values(seen).reduce((a, b) => a + b)).toBe(24);
    },
  );

  test('while a child works: the child ends its work, and then all of it is undone', async () => {
    for (const tool of ['ip', 'nft']) {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        await breakTool(host, tool, tool === 'ip' ? ofHost : "*'create element'*", slowly);
        const running = startPlugin(host, { ...completed({ plugin: 'bridge' }), env: brokenEnv });
        await untilStarted();
        running.kill(signal);
        expectError(await running.outcome, 106, signal);
        await mendTools(host);
        await nothingLeft();
      }
    }
  });

  test('a second signal does not stop the undoing', async () => {
    await breakTool(host, 'ip', ofHost, slowly);
    const running = startPlugin(host, { ...completed({ plugin: 'bridge' }), env: brokenEnv });
    await untilStarted();
    for (let count = 0; count < 20; count += 1) {
      running.kill(count % 2 === 0 ? 'SIGTERM' : 'SIGINT');
      await sleep(20);
    }
    expectError(await running.outcome, 106);
    await mendTools(host);
    await nothingLeft();
  });
});

test('SIGTERM at any moment of DEL: it goes on to its end, unless it has not begun', async () => {
  for (let round = 0; round < 12; round += 1) {
    const container = { plugin: 'bridge', containerId: `deleted-${round}` };
    expectSilent(await call(host, container));
    const running = startPlugin(host, { ...completed(container), command: 'DEL' });
    await sleep(round * 4 * Math.random());
    running.kill('SIGTERM');
    const outcome = await running.outcome;
    if (outcome.exitCode !== 0) {
      // Before it has read its input.
      expect(outcome).toMatchObject({ signal: 'SIGTERM', stdout: '', stderr: '' });
      expectSilent(await call(host, { ...container, command: 'DEL' }));
    }
    if (round % 4 === 3) await nothingLeft();
  }
});

test('SIGKILL at any moment of many ADDs at once: GC removes the rest', async () => {
  const pods = await Promise.all(Array.from({ length: 10 }, (_, index) => host.addPod(`kill${index}`)));
  const withPods = await snapshot(host);
  const valid = [{ containerID: 'other', ifname: 'other' }];
  for (let round = 0; round < 3; round += 1) {
    const running = pods.map((pod) =>
      startPlugin(host, completed({ plugin: 'bridge', containerId: pod.name, netns: pod })),
    );
    await Promise.all(
      running.map(async (plugin) => {
        await sleep(20 + 200 * Math.random());
        plugin.kill('SIGKILL');
        await plugin.outcome;
      }),
    );
    const config = { ...networks.bridge, 'cni.dev/valid-attachments': valid };
    expectSilent(await call(host, { plugin: 'bridge', command: 'GC', config }));
    expect(leftovers(withPods, await snapshot(host))).toEqual(nothing);
  }
  for (const pod of pods) await pod.remove();
});
