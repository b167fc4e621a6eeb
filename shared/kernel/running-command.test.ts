import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { startCommand } from './running-command.ts';

const sh = (script: string, options = {}) => startCommand('sh', ['-c', script], options);

describe('startCommand', () => {
  test('runs two at once and returns what each printed', async () => {
    const started = performance.now();
    const [first, second] = await Promise.all([
      sh('cat; sleep 0.5', { stdin: 'one' }).result(),
      sh('sleep 0.5; echo two >&2; exit 7').result(),
    ]);
    expect(first).toEqual({ stdout: 'one', stderr: '', exitCode: 0 });
    expect(second).toEqual({ stdout: '', stderr: 'two\n', exitCode: 7 });
    expect(performance.now() - started).toBeLessThan(950);
  });

  test('rejects when the child hangs, floods or dies, and when the tool is missing', async () => {
    await expect(sh('sleep 45 & sleep 46', { timeoutMs: 100 }).result()).rejects.toThrow(
      /did not finish within 0\.1 s/,
    );
    await expect(startCommand('yes', []).result()).rejects.toThrow(/printed more than 64 MiB/);
    await expect(sh('kill -ABRT $$').result()).rejects.toThrow(/killed by SIGABRT/);
    expect(() => startCommand('podwire-no-such-tool', [])).toThrow(/not found; install/);
  });

  test('does not wait for a descendant that keeps the pipes open', async () => {
    const started = performance.now();
    const { stdout, exitCode } = await sh('sleep 30 & echo $!').result();
    expect(exitCode).toBe(0);
    expect(performance.now() - started).toBeLessThan(5000);
    process.kill(Number(stdout), 'SIGKILL');
  });

  test('kill ends the child and its descendants', async () => {
    const command = sh('sleep 47 & echo $!; wait');
    expect(await command.settled(() => command.output().endsWith('\n'))).toBeUndefined();
    command.kill();
    await expect(command.result()).rejects.toThrow(/killed by SIGKILL/);
    await vi.waitFor(() => expect(existsSync(`/proc/${command.output().trim()}/exe`)).toBe(false));
  });
});

describe('settled', () => {
  test('returns undefined as soon as the effect is visible, and the child ends on its own', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'podwire-'));
    const [effect, end] = [join(directory, 'effect'), join(directory, 'end')];
    const command = sh(`touch ${effect}; sleep 0.3; touch ${end}`);
    expect(await command.settled(() => existsSync(effect))).toBeUndefined();
    expect(existsSync(end)).toBe(false);
    await vi.waitFor(() => expect(existsSync(end)).toBe(true));
    rmSync(directory, { recursive: true });
  });

  test('returns the result of a child that ends before', async () => {
    expect(await sh('echo no >&2; exit 1').settled(() => false)).toEqual({
      stdout: '',
      stderr: 'no\n',
      exitCode: 1,
    });
  });

  test('lets our process end before the child', () => {
    const script = `
      import { startCommand } from ${JSON.stringify(join(import.meta.dirname, 'running-command.ts'))};
      const command = startCommand('sh', ['-c', 'echo seen; exec sleep 20']);
      await command.settled(() => command.output() === 'seen\\n');
      console.log(command.pid);`;
    const started = performance.now();
    const { stdout, exitCode } = Bun.spawnSync([process.execPath, '-e', script]);
    expect(exitCode).toBe(0);
    expect(performance.now() - started).toBeLessThan(10_000);
    process.kill(Number(stdout.toString()), 'SIGKILL');
  });
});
