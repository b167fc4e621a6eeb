import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { systemPath } from '../support/process.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, networks } from './calls.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('endless');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterAll(() => host.dispose());

const valid = JSON.stringify(networks.bridge);

describe('stdin that does not end', () => {
  test('is given up with code 5: bytes without end', async () => {
    for (const source of ['cat /dev/zero', 'yes {}', "while :; do printf '          '; done"]) {
      const env = {
        PATH: systemPath,
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'c',
        CNI_NETNS: '/x',
        CNI_IFNAME: 'eth0',
      };
      const outcome = await host.attempt(
        ['/bin/sh', '-c', `{ ${source}; } 2>/dev/null | ${podwireBin}/bridge`],
        { env },
      );
      expect(JSON.parse(outcome.stdout)).toMatchObject({ code: 5, msg: expect.stringContaining('stdin') });
    }
  });

  test('is given up with code 5: a pipe that nobody closes', async () => {
    const held = { holdStdin: true, stdin: valid, timeout: 40_000 };
    const outcomes = await Promise.all([
      call(host, { plugin: 'bridge', ...held }),
      call(host, { plugin: 'host-local', command: 'DEL', ...held }),
    ]);
    for (const outcome of outcomes) expectError(outcome, 5, 'stdin');
  });

  test('is read whole when it comes in pieces, also when the process is stopped meanwhile', async () => {
    const env = {
      PATH: systemPath,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'pieces',
      CNI_NETNS: '/x',
      CNI_IFNAME: 'eth0',
    };
    const text = JSON.stringify(networks['host-local']);
    const script = `{ printf %s "$1"; sleep 0.2; printf %s "$2"; sleep 0.4; printf %s "$3"; } | ${podwireBin}/host-local &
sleep 0.1; kill -STOP $!; sleep 0.2; kill -CONT $!; wait $!`;
    const pieces = [text.slice(0, 20), text.slice(20, 90), text.slice(90)];
    const outcome = await host.attempt(['/bin/sh', '-c', script, 'sh', ...pieces], { env });
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      ips: [{ address: expect.stringMatching(/^10\.32\./) }],
    });
    expectSilent(await call(host, { plugin: 'host-local', command: 'DEL', containerId: 'pieces' }));
  });

  test('is an error when it is closed or can not be read', async () => {
    const env = {
      PATH: systemPath,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c',
      CNI_NETNS: '/x',
      CNI_IFNAME: 'eth0',
    };
    for (const redirect of ['<&-', '</', '0>/dev/null', '</dev/null']) {
      const outcome = await host.attempt(['/bin/sh', '-c', `exec ${podwireBin}/host-local ${redirect}`], {
        env,
      });
      expect(outcome.exitCode).toBe(1);
      expect([5, 6]).toContain(JSON.parse(outcome.stdout).code);
    }
  });
});

test('all of this has left nothing', async () => {
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);
});
