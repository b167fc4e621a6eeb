import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  call,
  completed,
  createPluginHost,
  expectError,
  expectSilent,
  networks,
  type Spoiled,
} from '../protocol/calls.ts';
import { type RunningPlugin, startPlugin } from '../support/call-plugin.ts';
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

/** A tool that waits with its orders in hand until it is let go. */
const late =
  'touch /run/started; until [ -e /run/go ]; do sleep 0.02; done; real "$@"; code=$?; touch /run/acted; exit $code';
const letGo = () => host.exec(['touch', '/run/go']);
const hasActed = (): boolean => existsSync(host.path('/run/acted'));

/** Starts a call whose tool is late, and returns when that has its orders. */
const startLate = async (tool: string, when: string, given: Spoiled): Promise<RunningPlugin> => {
  await breakTool(host, tool, when, late);
  await host.shell('rm -f /run/started /run/go /run/acted');
  const running = startPlugin(host, { ...completed(given), env: brokenEnv });
  await waitUntil('the tool has its orders', () => existsSync(host.path('/run/started')));
  return running;
};

/** The same, and then the call is killed. */
const killedBeforeTool = async (tool: string, when: string, given: Spoiled): Promise<void> => {
  const running = await startLate(tool, when, given);
  running.kill('SIGKILL');
  await running.outcome;
  await mendTools(host);
};

/** Starts a call and returns when it asks for the attachment, or has ended. */
const startWaiting = async (given: Spoiled): Promise<RunningPlugin> => {
  const running = startPlugin(host, completed(given));
  let ended = false;
  void running.outcome.then(() => {
    ended = true;
  });
  await waitUntil('the call asks for the attachment', () => ended || hasLockOpen(running.pid));
  return running;
};

const hasLockOpen = (pid: number): boolean => {
  try {
    const links = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    return links.includes('/run/podwire/locks/attachments');
  } catch {
    // It is not there yet, or a descriptor was closed meanwhile.
    return false;
  }
};

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
    const recoveries: Spoiled[] = [
      { ...container, command: 'DEL' },
      { ...container, command: 'DEL', env: { CNI_NETNS: '' } },
      { plugin, ...gc(config) },
      container,
    ];
    for (const recovery of recoveries) {
      await killedBeforeTool(tool, when, container);
      const running = await startWaiting(recovery);
      await letGo();
      expectSilent(await running.outcome);
      expect(hasActed()).toBe(true);
      if (recovery === container) expectSilent(await call(host, { ...container, command: 'DEL' }));
      await nothingLeft();
    }
  });

  test('of DEL: the next ADD of the same attachment keeps its link', async () => {
    const container = { plugin: 'bridge', containerId: 'again' };
    expectSilent(await call(host, container));
    await killedBeforeTool('ip', ofDel, { ...container, command: 'DEL' });
    const running = await startWaiting(container);
    await letGo();
    const added = await running.outcome;
    expectSilent(added);
    await waitUntil('the tool of the killed DEL has acted', hasActed);
    const config = { ...networks.bridge, prevResult: added.result };
    expectSilent(await call(host, { ...container, config, command: 'CHECK' }));
    expectSilent(await call(host, { ...container, command: 'DEL' }));
    await nothingLeft();
  });

  test('other attachments do not wait for it', async () => {
    const container = { plugin: 'bridge', containerId: 'victim' };
    await killedBeforeTool('nft', "*'create element'*", container);
    const second = { plugin: 'bridge', containerId: 'second', netns: '/run/netns/second' };
    expectSilent(await call(host, second));
    expectSilent(await call(host, { ...second, command: 'DEL' }));
    expect(hasActed()).toBe(false);
    await letGo();
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
      // The ADD may have been the last to get its turn.
      expectSilent(await call(host, { ...container, command: 'DEL' }));
    }
    await nothingLeft();
  });

  test('SIGTERM ends the waiting of ADD and of DEL with code 106', async () => {
    const container = { plugin: 'bridge', containerId: 'waited-for' };
    for (const command of ['ADD', 'DEL']) {
      const first = await startLate('nft', "*'create element'*", container);
      const second = await startWaiting({ ...container, command });
      second.kill('SIGTERM');
      expectError(await second.outcome, 106, 'SIGTERM');
      await letGo();
      expectSilent(await first.outcome);
      expectSilent(await call(host, { ...container, command: 'DEL' }));
      await mendTools(host);
      await nothingLeft();
    }
  });
});
