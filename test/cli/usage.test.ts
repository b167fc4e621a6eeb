import { describe, expect, test } from 'vitest';
import { supportedVersions } from '../../shared/cni/about.ts';
import { podwireBin } from '../support/binaries.ts';
import { requireTool } from '../support/needs.ts';
import { type Outcome, runProcess, systemPath } from '../support/process.ts';

const podwire = (...args: string[]): Promise<Outcome> => runProcess([`${podwireBin}/podwire`, ...args]);

describe('usage', () => {
  test('version', async () => {
    const text = await podwire('version');
    expect(text).toMatchObject({ exitCode: 0, stderr: '' });
    expect(text.stdout).toMatch(/^podwire \S+\nbuild \S+\nCNI 0\.1\.0, .*1\.1\.0\n$/);
    const json = JSON.parse((await podwire('version', '--json')).stdout);
    expect(json).toEqual({ version: expect.any(String), buildId: expect.any(String), supportedVersions });
  });

  test.each([
    [['--help'], 'Commands:'],
    [['run', '--help'], 'Examples:'],
    [['run', 'add', '--help'], '--capability-args'],
  ])('%j helps', async (args, text) => {
    const outcome = await podwire(...args);
    expect(outcome).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining(text) });
  });

  test.each([
    [[], 'Commands:'],
    [['rnu'], '(Did you mean run?)'],
    [['run', 'ad'], '(Did you mean add?)'],
    [['run', 'add', 'net'], "missing required argument 'netns'"],
    [['run', 'add', 'net', 'ns', 'more'], 'too many arguments'],
    [['run', 'add', 'net', 'ns', '--bogus'], "unknown option '--bogus'"],
    [['run', 'add', 'net', 'ns', '--port', '99'], 'It must be [HOSTIP:]HOSTPORT'],
    [['run', 'add', 'net', 'ns', '--capability-args', '{'], 'It is not valid JSON'],
    [['run', 'status', 'net', '--keep'], "unknown option '--keep'"],
    [['run', 'del', 'net'], 'del needs NETNS or --container-id'],
    [['run', 'gc', 'net'], 'gc needs to know what is valid'],
    [['run', 'gc', 'net', '--keep-none', '--keep-cached'], 'gc needs to know what is valid'],
  ])('%j is wrong usage', async (args, text) => {
    const outcome = await podwire(...args);
    expect(outcome).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining(text) });
  });

  test('colours are for terminals, unless NO_COLOR is set', async (context) => {
    requireTool(context, 'script');
    const command = `${podwireBin}/podwire run status nope --conf-dir /nonexistent`;
    const onTerminal = (env: Record<string, string>) =>
      runProcess(['script', '-qec', command, '/dev/null'], {
        env: { PATH: systemPath, TERM: 'xterm', ...env },
      });
    expect((await onTerminal({})).stdout).toContain('\u001b[31m');
    expect((await onTerminal({ NO_COLOR: '1' })).stdout).toMatch(/^error 7: no network named "nope"/);
    expect((await runProcess(command.split(' '))).stderr).toMatch(/^error 7: no network named "nope"/);
  });

  test('a reader that goes away is no error', async () => {
    const outcome = await podwire('--help');
    expect(outcome.exitCode).toBe(0);
    const closed = await runProcess([`${podwireBin}/podwire`, '--help'], { stdout: 'closed' });
    expect(closed).toMatchObject({ exitCode: 0, stderr: '' });
  });
});
