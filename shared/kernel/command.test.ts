import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { commandFailure, runCommand, runProgram } from './command.ts';

const sh = (script: string, options = {}) => runCommand('sh', ['-c', script], options);

describe('runCommand', () => {
  test('returns output and exit code, whatever that is', () => {
    expect(sh('cat; echo bad >&2; exit 3', { stdin: 'in' })).toEqual({
      stdout: 'in',
      stderr: 'bad\n',
      exitCode: 3,
    });
  });

  test('passes large input and output whole', () => {
    const stdin = 'x'.repeat(3_000_000);
    expect(sh('cat', { stdin }).stdout === stdin).toBe(true);
  });

  test('gives the child nothing of ours but the search path', () => {
    process.env.PODWIRE_LEAK = 'secret';
    const { stdout } = runCommand('env', []);
    delete process.env.PODWIRE_LEAK;
    expect(stdout.split('\n').map((line) => line.split('=')[0])).toEqual(['PATH', 'LC_ALL', '']);
    expect(sh('ls /proc/self/fd | wc -l').stdout).toBe('4\n');
  });

  test('works when our working directory is gone', () => {
    const before = process.cwd();
    const directory = mkdtempSync(join(tmpdir(), 'podwire-'));
    process.chdir(directory);
    rmSync(directory, { recursive: true });
    try {
      expect(sh('echo fine').stdout).toBe('fine\n');
    } finally {
      process.chdir(before);
    }
  });

  test('kills a child that hangs, with its descendants, and says so', async () => {
    const started = performance.now();
    const run = () => sh('sleep 43 & sleep 44', { timeoutMs: 150 });
    expect(run).toThrow(/\/sh did not finish within 0\.15 s and was killed/);
    expect(performance.now() - started).toBeLessThan(5000);
    await vi.waitFor(() => expect(runCommand('pgrep', ['-f', '^sleep 4[34]$']).stdout).toBe(''));
  });

  test('kills a child that never stops printing', () => {
    expect(() => runCommand('yes', [])).toThrow(/yes printed more than 64 MiB and was killed/);
  });

  test('names the signal that ended a child', () => {
    expect(() => sh('kill -SEGV $$')).toThrow(/was killed by SIGSEGV/);
  });
});

describe('finding a tool', () => {
  let directory: string;
  let path: string | undefined;
  beforeEach(() => {
    path = process.env.PATH;
    directory = mkdtempSync(join(tmpdir(), 'podwire-'));
  });
  afterEach(() => {
    process.env.PATH = path;
    rmSync(directory, { recursive: true });
  });

  test('prefers PATH, skips what is not executable, and knows the usual directories', () => {
    process.env.PATH = directory;
    expect(sh('echo usual').stdout).toBe('usual\n');
    writeFileSync(join(directory, 'sh'), '#!/bin/sh\necho own\n');
    expect(sh('echo usual').stdout).toBe('usual\n');
    chmodSync(join(directory, 'sh'), 0o755);
    expect(sh('echo usual').stdout).toBe('own\n');
  });

  test('ignores relative entries of PATH: the working directory may be anybody’s', () => {
    mkdirSync(join(directory, 'bin'));
    writeFileSync(join(directory, 'bin', 'podwire-tool'), '#!/bin/sh\n', { mode: 0o755 });
    const before = process.cwd();
    process.chdir(directory);
    process.env.PATH = 'bin';
    try {
      expect(() => runCommand('podwire-tool', [])).toThrow('podwire-tool: not found');
    } finally {
      process.chdir(before);
    }
  });

  test('says what to install', () => {
    process.env.PATH = '/nonexistent';
    expect(() => runCommand('podwire-no-such-tool', [])).toThrow(
      expect.objectContaining({
        code: 100,
        message: 'podwire-no-such-tool: not found; install podwire-no-such-tool',
        details: expect.stringContaining('/nonexistent:/usr/sbin'),
      }),
    );
  });

  test('reports a file that the kernel refuses to execute', () => {
    process.env.PATH = directory;
    writeFileSync(join(directory, 'broken'), '#!/nonexistent/interpreter\n', { mode: 0o755 });
    expect(() => runCommand('broken', [])).toThrow(/broken: could not be started \(ENOENT\)/);
  });
});

describe('runProgram', () => {
  test('gives environment, working directory and stdin as they are', () => {
    const script = 'cat; echo; pwd; env | grep -c .; echo $CNI_COMMAND; exit 4';
    const result = runProgram('/bin/sh', {
      args: ['-c', script],
      env: { CNI_COMMAND: 'ADD', PATH: '/usr/bin:/bin' },
      stdin: new TextEncoder().encode('{"a":1}'),
    });
    expect(result).toEqual({
      stdout: `{"a":1}\n${process.cwd()}\n3\nADD\n`,
      stderr: '',
      exitCode: 4,
    });
  });

  test('throws for a program that cannot be executed', () => {
    expect(() => runProgram('/etc/passwd', { env: {} })).toThrow(
      /\/etc\/passwd: could not be started \(EACCES\)/,
    );
  });
});

test('commandFailure tells context, tool, message, arguments and exit code', () => {
  const result = { stdout: '', stderr: 'Cannot find device "x"\nmore\n', exitCode: 1 };
  expect(commandFailure('ip', ['link', 'del', 'x'], result, 'removing x')).toMatchObject({
    code: 100,
    message: 'removing x: ip failed: Cannot find device "x"',
    details: '"ip link del x" ended with exit code 1: Cannot find device "x"\nmore',
  });
  expect(commandFailure('ip', [], { stdout: '', stderr: '', exitCode: 2 }).message).toBe(
    'ip failed: no message',
  );
});
