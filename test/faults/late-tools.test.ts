import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { call, completed, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { startPlugin } from '../support/call-plugin.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { waitUntil } from '../support/wait-until.ts';
import { breakTool, brokenEnv, mendTools, ofDel, ofHost, ofPod } from './broken-tools.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('late-tools');
  await host.addPod('pod');
  await host.addPod('second');
  for (const plugin of ['bridge', 'veth'])
    expectSilent(await call(host, { plugin, containerId: 'other', ifname: plugin }));
  before = await snapshot(host);
});
afterAll(() => host.dispose());
beforeEach(() => mendTools(host));

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);

/** How long a tool waits with its orders in hand before it carries them out. */
const lateMs = 250;
const late = `touch /run/started; sleep ${lateMs / 1000}; real "$@"; touch /run/acted`;

/** A call whose tool is late, and which is killed when that has its orders. */
const killedBeforeTool = async (tool: string, when: string, given: Parameters<typeof completed>[0]) => {
  await breakTool(host, tool, when, late);
  await host.shell('rm -f /run/started /run/acted');
  const running = startPlugin(host, { ...completed(given), env: brokenEnv });
  await waitUntil('the tool has its orders', () => existsSync(host.path('/run/started')));
  running.kill('SIGKILL');
  await running.outcome;
};
const hasActed = (): boolean => existsSync(host.path('/run/acted'));

const iptables = { ...networks.bridge, ipMasqBackend: 'iptables' };
const gc = (config: object) => ({
  command: 'GC',
  config: {
    ...config,
    'cni.dev/valid-attachments': ['bridge', 'veth'].map((ifname) => ({ containerID: 'other', ifname })),
  },
});

describe('a tool that acts when its caller was killed', () => {
  const rows = [
    { tool: 'ip', when: ofHost, plugin: 'bridge', config: networks.bridge },
    { tool: 'ip', when: ofPod, plugin: 'bridge', config: networks.bridge },
    { tool: 'nft', when: "*'create element'*", plugin: 'bridge', config: networks.bridge },
    { tool: 'iptables-restore', when: '*MASQUERADE*', plugin: 'bridge', config: iptables },
    { tool: 'ip', when: ofHost, plugin: 'veth', config: networks.veth },
    { tool: 'nft', when: "*'create element'*", plugin: 'veth', config: networks.veth },
  ];
  test.for(rows)('$plugin, $tool, $when: DEL, GC and ADD come after it', async (row) => {
    const { tool, when, plugin, config } = row;
    const container = { plugin, config, containerId: 'victim' };
    const recoveries = [
      () => call(host, { ...container, command: 'DEL' }),
      () => call(host, { ...container, command: 'DEL', env: { CNI_NETNS: '' } }),
      () => call(host, { plugin, ...gc(config) }),
      async () => {
        expectSilent(await call(host, container));
        return call(host, { ...container, command: 'DEL' });
      },
    ];
    for (const recover of recoveries) {
      await killedBeforeTool(tool, when, container);
      await mendTools(host);
      expectSilent(await recover());
      expect(hasActed()).toBe(true);
      await nothingLeft();
    }
  });

  test('of DEL: the next ADD of the same attachment keeps its link', async () => {
    const container = { plugin: 'bridge', containerId: 'again' };
    expectSilent(await call(host, container));
    await killedBeforeTool('ip', ofDel, { ...container, command: 'DEL' });
    await mendTools(host);
    // That of the killed DEL is gone by then.
    const added = await call(host, container);
    expectSilent(added);
    await sleep(lateMs);
    const config = { ...networks.bridge, prevResult: added.result };
    expectSilent(await call(host, { ...container, config, command: 'CHECK' }));
    expectSilent(await call(host, { ...container, command: 'DEL' }));
    await nothingLeft();
  });

  test('other attachments do not wait for it', async () => {
    const container = { plugin: 'bridge', containerId: 'victim' };
    await killedBeforeTool('nft', "*'create element'*", container);
    await mendTools(host);
    const second = { plugin: 'bridge', containerId: 'second', netns: '/run/netns/second' };
    expectSilent(await call(host, second));
    expectSilent(await call(host, { ...second, command: 'DEL' }));
    expect(hasActed()).toBe(false);
    expectSilent(await call(host, { ...container, command: 'DEL' }));
    await nothingLeft();
  });
});

describe('two calls for one attachment at once', () => {
  test('ADD and ADD: the second is refused, and the first one keeps what it made', async () => {
    const container = { plugin: 'bridge', containerId: 'twice' };
    const outcomes = await Promise.all([call(host, container), call(host, container)]);
    const [first, second] = outcomes.toSorted((a, b) => (a.exitCode ?? 9) - (b.exitCode ?? 9));
    if (first === undefined || second === undefined) throw new Error('two calls have two outcomes');
    expectSilent(first);
    expectError(second, 103, 'twice');
    const config = { ...networks.bridge, prevResult: first.result };
    expectSilent(await call(host, { ...container, config, command: 'CHECK' }));
    expectSilent(await call(host, { ...container, command: 'DEL' }));
    await nothingLeft();
  });

  test('ADD and several DELs: nothing is left after a last one', async () => {
    const container = { plugin: 'bridge', containerId: 'between' };
    for (let round = 0; round < 5; round += 1) {
      const [added, ...deleted] = await Promise.all([
        call(host, container),
        ...Array.from({ length: 3 }, () => call(host, { ...container, command: 'DEL' })),
      ]);
      expectSilent(added as NonNullable<typeof added>);
      for (const outcome of deleted) expectSilent(outcome);
    }
    expectSilent(await call(host, { ...container, command: 'DEL' }));
    await nothingLeft();
  });

  test('SIGTERM ends the waiting of ADD and of DEL with code 106', async () => {
    const container = { plugin: 'bridge', containerId: 'waited-for' };
    for (const command of ['ADD', 'DEL']) {
      await breakTool(host, 'nft', "*'create element'*", late);
      await host.shell('rm -f /run/started');
      const first = startPlugin(host, { ...completed(container), env: brokenEnv });
      await waitUntil('the tool has its orders', () => existsSync(host.path('/run/started')));
      const second = startPlugin(host, { ...completed(container), command });
      await sleep(lateMs / 2);
      second.kill('SIGTERM');
      expectError(await second.outcome, 106, 'SIGTERM');
      expectSilent(await first.outcome);
      expectSilent(await call(host, { ...container, command: 'DEL' }));
      await mendTools(host);
      await nothingLeft();
    }
  });
});
