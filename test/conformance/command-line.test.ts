import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type Outcome, runProcess, systemPath } from '../support/process.ts';

const script = resolve(import.meta.dirname, '../../scripts/conformance');

/** A directory with a plugin that knows VERSION and answers everything else with one error. */
const brokenPlugins = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'broken-plugins-'));
  writeFileSync(
    `${directory}/loopback`,
    `#!/bin/sh
if [ "$CNI_COMMAND" = VERSION ]; then echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}'; exit 0; fi
echo '{"cniVersion": "1.0.0", "code": 4, "msg": "CNI_COMMAND is not to its liking"}'
exit 1
`,
  );
  chmodSync(`${directory}/loopback`, 0o755);
  return directory;
};

const conformance = (...args: string[]): Promise<Outcome> =>
  runProcess([script, ...args], {
    env: { PATH: systemPath, HOME: process.env.HOME ?? '/root', TMPDIR: tmpdir() },
    timeout: 55_000,
  });

test('a plugin that does nothing right fails, and the reports say so', async () => {
  const directory = brokenPlugins();
  const reports = ['--report', `${directory}/r.xml`, '--report', `${directory}/r.md`];
  const outcome = await conformance('--bin-dir', directory, '--spec', '1.0.0', ...reports);
  expect(outcome).toMatchObject({ exitCode: 1 });
  expect(outcome.stdout).toContain('FAILED');
  expect(outcome.stdout).toMatch(/loopback +\d+ passed, [1-9]\d* failed, 0 failed as known/);
  // What it does do, it gets credit for.
  const matrix = readFileSync(`${directory}/r.md`, 'utf8');
  expect(matrix).toMatch(/^\| P8 .*\| ✓ \|$/m);
  expect(matrix).toMatch(/^\| P7 .*\| \*\*✗✗\*\* \|$/m);
  expect(readFileSync(`${directory}/r.xml`, 'utf8')).toMatch(/<testsuites [^>]*failures="[1-9]/);
});

test('a failure that is listed as known is none, and one that does not happen is', async () => {
  const directory = brokenPlugins();
  const known = `${directory}/known.json`;
  const run = async (...ids: string[]): Promise<string> => {
    const entries = ids.map((id) => ({ case: id, plugins: ['loopback'], reason: 'it is broken' }));
    writeFileSync(known, JSON.stringify(entries));
    return (await conformance('--bin-dir', directory, '--spec', '0.4.0', '--known', known)).stdout;
  };
  expect(await run('about-text')).toMatch(/loopback .* 1 failed as known/);
  expect(await run('unknown-command')).toContain('passes, but is listed as known to fail: it is broken');
});

test.for([
  { args: ['--plugin', 'nothing'], says: 'does not know "nothing"; it knows: bandwidth bridge ' },
  { args: ['--spec', 'newest'], says: '"newest" is no version' },
  { args: ['--report', 'report.txt'], says: 'ends neither in .xml (JUnit) nor in .md' },
  { args: ['--bin-dir', '/nowhere'], says: '/nowhere is no directory' },
  { args: ['--bin-dir', '/proc/self'], says: '/proc/self has no plugin that the suite knows' },
  { args: ['--report'], says: '--report needs a value' },
  { args: ['--verbose'], says: 'unknown argument "--verbose"' },
])('wrong command line $args', async ({ args, says }) => {
  const { exitCode, stdout, stderr } = await conformance(...args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toContain(says);
});
