import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { call, completed, expectError, expectSilent } from '../protocol/calls.ts';
import { podwireBin } from '../support/binaries.ts';
import { startPlugin } from '../support/call-plugin.ts';
import type { TestHost } from '../support/test-host.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  address,
  directory,
  install,
  network,
  onAdd,
  setUpDelegates,
  takeLog,
  withDelegates,
} from './fake-delegate.ts';

let host: TestHost;
const nothingLeft = setUpDelegates((made) => {
  host = made;
});

describe('ADD with a delegate', () => {
  test('that fails with an error object: its code and message are passed on, after its DEL', async () => {
    for (const plugin of ['bridge', 'veth']) {
      for (const code of [4, 7, 11, 50, 100, 102, 999]) {
        install(
          host,
          onAdd(`echo '{"code": ${code}, "msg": "no address today", "details": "ask again"}'; exit 1`),
        );
        const outcome = await call(host, { plugin, config: network({ type: 'fake' }), ...withDelegates });
        const error = expectError(outcome, code, 'no address today');
        expect(error.details).toContain('ask again');
        expect(error.details).toContain('"fake"');
        expect(await takeLog(host)).toEqual(['ADD', 'DEL']);
      }
    }
    await nothingLeft();
  });

  test('that fails otherwise: code 101 that names it, after its DEL', async () => {
    const ways: Record<string, string> = {
      'without a word': 'exit 3',
      'with text': 'echo something is wrong; exit 1',
      'with an error without code': `echo '{"msg": "x"}'; exit 1`,
      'with code 0': `echo '{"code": 0, "msg": "x"}'; exit 1`,
      'with a text for a code': `echo '{"code": "7", "msg": "x"}'; exit 1`,
      'after a result': `echo '${address}'; exit 1`,
      'with nothing on stdout': 'exit 0',
      'with garbage': 'echo garbage',
      'with half a result': `echo '${address.slice(0, 40)}'`,
      'with two results': `echo '${address}${address}'`,
      'with a list': `echo '[${address}]'`,
      'with binary': 'head -c 5000 /dev/urandom',
      'without an address': `echo '{"cniVersion": "1.1.0", "ips": []}'`,
      'with an error object and exit code 0': `echo '{"code": 7, "msg": "x"}'`,
      'with an address that is none': `echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.77.0.5/33"}]}'`,
      'with a gateway that is none': `echo '${address.replace('10.77.0.1"', '10.77"')}'`,
      'with a route that is none': `echo '${address.replace('"ips"', '"routes": [{"dst": "x; reboot"}], "ips"')}'`,
      'with the wrong types': `echo '{"cniVersion": "1.1.0", "ips": "10.77.0.5/24"}'`,
      'killed by SIGKILL': 'kill -9 $$',
      'killed by SIGSEGV': 'kill -SEGV $$',
      'with a version of its own': `echo '{"cniVersion": "7.7.7", "ips": 5}'`,
    };
    for (const [way, script] of Object.entries(ways)) {
      install(host, onAdd(script));
      const outcome = await call(host, {
        plugin: 'bridge',
        config: network({ type: 'fake' }),
        ...withDelegates,
      });
      const error = expectError(outcome, 101, '"fake"');
      expect(error.details?.length ?? 0, way).toBeLessThan(2000);
      expect({ way, calls: await takeLog(host) }).toEqual({ way, calls: ['ADD', 'DEL'] });
    }
    await nothingLeft();
  });

  test('that hangs: code 101 after PODWIRE_DELEGATE_TIMEOUT_MS, and nothing of it runs on', async () => {
    install(host, onAdd("trap '' TERM INT; sleep 4321 & while :; do sleep 4321; done"));
    const outcome = await call(host, {
      plugin: 'bridge',
      config: network({ type: 'fake' }),
      env: { PODWIRE_DELEGATE_TIMEOUT_MS: '300' },
      ...withDelegates,
    });
    expectError(outcome, 101, '"fake"', '0.3 s');
    expect(await takeLog(host)).toEqual(['ADD', 'DEL']);
    expect((await host.attempt(['pgrep', '-f', '^sleep 4321'])).stdout).toBe('');
    await nothingLeft();
  });

  test('that leaves a daemon, when the plugin is killed: DEL does not wait for that', async () => {
    install(
      host,
      onAdd(`setsid sleep 4322 </dev/null >/dev/null 2>&1 &
touch ${directory}/started; exec sleep 4322`),
    );
    const given = { plugin: 'bridge', config: network({ type: 'fake' }), containerId: 'x', ...withDelegates };
    const running = startPlugin(host, completed(given));
    await waitUntil('the delegate runs', () => existsSync(host.path(`${directory}/started`)));
    running.kill('SIGKILL');
    await running.outcome;
    expectSilent(await call(host, { ...given, command: 'DEL', timeout: 10_000 }));
    const sleepers = await host.exec([
      'pgrep',
      '--ns',
      String(host.pid),
      '--nslist',
      'mnt',
      '-f',
      '^sleep 4322',
    ]);
    expect(sleepers.trim().split('\n')).toHaveLength(2);
    for (const pid of sleepers.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
    await nothingLeft();
  });

  test('that is missing: code 101 that names the directories', async () => {
    writeFileSync(host.path(`${directory}/not-executable`), '#!/bin/sh\n');
    mkdirSync(host.path(`${directory}/directory`));
    for (const type of ['missing', 'not-executable', 'directory', '.', '..', ' ', '$(id)', 'x'.repeat(300)]) {
      const outcome = await call(host, { plugin: 'bridge', config: network({ type }), ...withDelegates });
      const error = expectError(outcome, 101);
      expect(error.msg).toContain(directory);
    }
    for (const type of ['../delegates/fake', '/bin/true', 'a/b']) {
      const outcome = await call(host, { plugin: 'bridge', config: network({ type }), ...withDelegates });
      expectError(outcome, 101, type);
    }
    writeFileSync(host.path(`${directory}/format`), '\x7fELF garbage', { mode: 0o755 });
    expectError(
      await call(host, { plugin: 'bridge', config: network({ type: 'format' }), ...withDelegates }),
      101,
      'format',
    );
    const env = { CNI_PATH: undefined };
    expectError(
      await call(host, { plugin: 'bridge', config: network({ type: 'host-local' }), env }),
      101,
      'CNI_PATH',
    );
    await nothingLeft();
  });

  test('that is a network plugin itself: code 7 at once', async () => {
    await host.shell(
      `cp ${podwireBin}/veth ${directory}/veth-copy; ln ${directory}/veth-copy ${directory}/veth`,
    );
    const copied = { path: [directory], timeout: 20_000 };
    for (const type of ['bridge', 'veth', 'ptp']) {
      const outcome = await call(host, { plugin: 'bridge', config: network({ type }), timeout: 20_000 });
      expectError(outcome, [7, 103], ...(type === 'bridge' ? ['ipam.type'] : []));
    }
    expectError(
      await call(host, { plugin: 'bridge', config: network({ type: 'veth' }), ...copied }),
      [7, 103],
    );
    await nothingLeft();
  });
});
