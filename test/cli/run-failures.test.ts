import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { expectSuccess } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';
import {
  add,
  cacheFile,
  callOrder,
  createRecorderHost,
  del,
  hostHas,
  pods,
  podwire,
  scriptDir,
  startPodwire,
  writeFile,
  writeNetwork,
  writeRecorder,
} from './cli-host.ts';

// What `podwire run` makes of plugins that fail, hang or talk nonsense.
let host: TestHost;
beforeEach(async (context) => {
  host = await createRecorderHost(context);
});
afterEach(() => host?.dispose());

describe('a failed add', () => {
  const failing = `[ "$CNI_COMMAND" != ADD ] || { echo seen >&2; echo '{"code":7,"msg":"no","details":"because"}'; exit 1; }`;

  test('is cleaned up with the plugins that were called', async () => {
    writeRecorder(host, 'b', 2, failing);
    const outcome = await podwire(host, [...add, '--json']);
    expect(outcome.exitCode).toBe(1);
    expect(JSON.parse(outcome.stdout)).toEqual({
      cniVersion: '1.1.0',
      code: 7,
      msg: 'no',
      details: 'because',
    });
    expect(outcome.stderr).toBe(
      'seen\nerror 7: no\n  because\n  from b (plugin 2 of 3 of network "pods", ADD)\n',
    );
    expect(callOrder(host)).toEqual(['ADD a', 'ADD b', 'DEL b', 'DEL a']);
    expect(hostHas(host, cacheFile)).toBe(false);
  });

  test('is left as it is with --keep', async () => {
    writeRecorder(host, 'b', 2, failing);
    expect((await podwire(host, [...add, '--keep'])).stderr).toContain(
      'note: what the failed ADD left is kept',
    );
    expect(callOrder(host)).toEqual(['ADD a', 'ADD b']);
  });

  test('does not take down an attachment or an interface that was there before', async () => {
    expectSuccess(await podwire(host, add));
    writeRecorder(host, 'b', 2, failing);
    expect((await podwire(host, add)).stderr).toContain('not cleaned up, because container box was attached');
    expect(hostHas(host, cacheFile)).toBe(true);
    await host.exec(['ip', '-n', 'box', 'link', 'add', 'eth1', 'type', 'bridge']);
    expect((await podwire(host, [...add, '--ifname', 'eth1'])).stderr).toContain(
      'not cleaned up, because eth1 was in',
    );
    expect(callOrder(host)).toEqual(['ADD a', 'ADD b', 'ADD c', 'ADD a', 'ADD b', 'ADD a', 'ADD b']);
  });

  test('is one whose result is garbage, too', async () => {
    writeRecorder(
      host,
      'c',
      3,
      `[ "$CNI_COMMAND" != ADD ] || { echo '{"cniVersion":"1.1.0","ips":[{"address":"x"}]}'; exit; }`,
    );
    const outcome = await podwire(host, add);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toContain('from c (plugin 3 of 3 of network "pods", ADD)');
    expect(callOrder(host).slice(3)).toEqual(['DEL c', 'DEL b', 'DEL a']);
  });

  test('or whose result cannot be remembered', async () => {
    writeFile(host, `${cacheFile}/in-the-way`, '');
    const outcome = await podwire(host, add);
    expect(outcome.exitCode).toBe(1);
    expect(callOrder(host).slice(3)).toEqual(['DEL c', 'DEL b', 'DEL a']);
  });

  test('changes nothing when a plugin is missing', async () => {
    writeNetwork(host, { ...pods, plugins: [...pods.plugins, { type: 'absent' }] });
    const outcome = await podwire(host, add, { binDirs: [scriptDir, '/nowhere'] });
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '' });
    expect(outcome.stderr).toContain(`error 101: no plugin "absent" in ${scriptDir}:/nowhere`);
    expect(callOrder(host)).toEqual([]);
  });

  test('of a plugin that is neither beside the command nor in /opt/cni/bin names both', async () => {
    expectPlugins(podwireBin, 'host-local');
    const outcome = await podwire(host, add, { binDirs: [] });
    expect(outcome.stderr).toContain(`error 101: no plugin "a" in ${podwireBin}:/opt/cni/bin`);
  });

  test('by Ctrl-C ends the plugin and is cleaned up', async () => {
    writeRecorder(host, 'b', 2, '[ "$CNI_COMMAND" != ADD ] || sleep 100');
    const running = startPodwire(host, add);
    await expect.poll(() => callOrder(host)).toEqual(['ADD a', 'ADD b']);
    running.kill('SIGINT');
    const outcome = await running.outcome;
    expect(outcome).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('error 106: interrupted by SIGINT'),
    });
    expect(callOrder(host).slice(2)).toEqual(['DEL b', 'DEL a']);
  });
});

describe('a plugin', () => {
  test('that hangs is stopped with its children', async () => {
    writeRecorder(host, 'a', 1, '[ "$CNI_COMMAND" != ADD ] || { sleep 4711; sleep 4711; }');
    const outcome = await podwire(host, [...add, '--timeout', '300ms']);
    expect(outcome.stderr).toContain('error 101: plugin "a" did not finish ADD within 0.3 s and was stopped');
    expect(outcome.ms).toBeLessThan(5000);
    expect((await host.attempt(['pgrep', '-f', 'sleep 4711'])).stdout).toBe('');
  });

  test('that ignores SIGTERM is killed', async () => {
    writeRecorder(host, 'a', 1, '[ "$CNI_COMMAND" != ADD ] || { trap "" TERM; sleep 4712; sleep 4712; }');
    const outcome = await podwire(host, [...add, '--timeout', '300ms']);
    expect(outcome.stderr).toContain('was stopped');
    expect((await host.attempt(['pgrep', '-f', 'sleep 4712'])).stdout).toBe('');
  });

  test('that is being replaced is tried again', async () => {
    writeFile(host, '/run/cli/busy/a', '', 0o755);
    await host.exec(['cp', '/bin/true', '/run/cli/busy/a']);
    writeNetwork(host, { name: 'pods', cniVersion: '1.1.0', plugins: [{ type: 'a' }] });
    const writer = host.start(['sh', '-c', 'exec 3>>/run/cli/busy/a; echo open; sleep 1.5']);
    await host.exec(['sleep', '0.2']);
    const outcome = await podwire(host, del, { binDirs: ['/run/cli/busy'] });
    expectSuccess(outcome);
    expect(outcome.ms).toBeGreaterThan(900);
    await writer.outcome;
  });

  test.each([
    ['prints nothing', 'exit 3', 'error 101: plugin "a" failed (exit code 3) without saying why'],
    ['panics', 'echo oops >&2; kill -9 $$', 'error 101: plugin "a" failed (killed by SIGKILL) saying: oops'],
    [
      'prints no JSON',
      'echo hello; exit 1',
      'error 101: plugin "a" failed (exit code 1) and printed no error object: "hello\\n"',
    ],
    ['succeeds without a result', 'exit 0', 'error 101: plugin "a" printed no result: its stdout is empty'],
    [
      'answers in an unknown version',
      'echo \'{"cniVersion":"9.0.0"}\'; exit',
      'error 1: plugin "a" answered in CNI version "9.0.0"',
    ],
  ])('that %s is named', async (_what, body, message) => {
    writeRecorder(host, 'a', 1, `[ "$CNI_COMMAND" != ADD ] || { ${body}; }`);
    const outcome = await podwire(host, add);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toContain(message);
    expect(outcome.stderr).not.toMatch(/\n\s+at /);
  });
});
