import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTrace, type Step } from '../faults/runner/trace.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { requireTool } from '../support/needs.ts';
import { type Outcome, systemPath } from '../support/process.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { readHostFile } from './cli-host.ts';
import { podwire, tree } from './install-host.ts';

// `kill -9` before each of the system calls that change a file, with strace's fault injection: the next call has
// to make it good.
const root = '/run/node';
const original = '/run/original';
const golden = '/run/golden';
const bin = `${root}/opt/cni/bin`;
const conflist = {
  cniVersion: '1.1.0',
  name: 'pods',
  plugins: [{ type: 'bridge', ipam: { type: 'host-local' } }],
};
const inRoot = ['--host-root', root];
const installation = [
  'install',
  ...inRoot,
  '--takeover',
  '--plugins',
  'bridge,host-local',
  '--conflist',
  '/run/10-pods.conflist',
];
const removal = ['uninstall', ...inRoot];

/** What changes files, in the ways in which a program may. */
const changing = [
  ...['rename', 'renameat', 'renameat2', 'link', 'linkat', 'unlink', 'unlinkat', 'mkdir', 'mkdirat', 'rmdir'],
  ...[
    'symlink',
    'symlinkat',
    'chmod',
    'fchmod',
    'fchmodat',
    'chown',
    'fchown',
    'fchownat',
    'fsync',
    'ftruncate',
  ],
  ...['copy_file_range', 'sendfile'],
];

let host: TestHost;
beforeAll(async () => {
  expectPlugins(podwireBin, 'podwire', 'bridge', 'host-local');
  host = await createHost({ name: 'killed' });
  await host.shell(`mkdir -p ${original}/opt/cni/bin ${original}/var/lib ${original}/etc/cni/net.d
    cd ${original}/opt/cni/bin
    echo bridge >bridge; chmod 4711 bridge; ln -s /nowhere host-local; echo dhcp >dhcp
    echo theirs >${original}/etc/cni/net.d/10-pods.conflist
    printf %s '${JSON.stringify(conflist)}' >/run/10-pods.conflist`);
  // What an undisturbed installation makes of it. Its large files are copied as links.
  await fresh();
  must(await podwire(host, installation));
  await host.shell(`cp -al ${root} ${golden}`);
});
afterAll(() => host?.dispose());

const fresh = (): Promise<string> => host.shell(`rm -rf ${root}; cp -a ${original} ${root}`);
const installed = (): Promise<string> => host.shell(`rm -rf ${root}; cp -al ${golden} ${root}`);
const must = (outcome: Outcome): void => {
  expect(outcome, outcome.stdout + outcome.stderr).toMatchObject({ exitCode: 0 });
};
const strace = (options: string[], args: string[]): Promise<Outcome> =>
  host.attempt(['strace', '-qq', ...options, `${podwireBin}/podwire`, ...args], {
    env: { PATH: systemPath },
    timeout: 60_000,
  });

/** The steps of an undisturbed call. What it changes is on its first thread. */
const stepsOf = async (args: string[]): Promise<Step[]> => {
  must(await strace(['-o', '/run/trace', '-e', `trace=?${changing.join(',?')}`], args));
  const [calls = []] = parseTrace(readHostFile(host, '/run/trace')).values();
  const counts = new Map<string, number>();
  return calls.map(({ syscall }) => {
    const n = (counts.get(syscall) ?? 0) + 1;
    counts.set(syscall, n);
    return { syscall, n };
  });
};

const killAt = async ({ syscall, n }: Step, args: string[]): Promise<void> => {
  const inject = `inject=${syscall}:error=EINTR:signal=KILL:when=${n}`;
  const outcome = await strace(['-o', '/dev/null', '-e', `trace=${syscall}`, '-e', inject], args);
  expect(outcome.signal ?? outcome.exitCode, 'was not killed').not.toBe(0);
};

/** Whatever happened, each name is theirs or a whole executable of ours. */
const expectWhole = async (): Promise<void> => {
  const shown = await host.shell(`cd ${bin}; for name in bridge host-local; do
      if [ -L $name ]; then readlink $name
      elif [ "$(stat -c %s $name)" -lt 100 ]; then cat $name
      else ./$name 2>&1 | head -n 1; fi; done`);
  const [bridge, hostLocal] = shown.trimEnd().split('\n');
  expect(bridge).toMatch(/^(bridge|CNI bridge plugin podwire .*)$/);
  expect(hostLocal).toMatch(/^(\/nowhere|CNI host-local plugin podwire .*)$/);
};

const untouched = (): string[] => tree(host, original);
const complete = (): string[] => tree(host, golden).map(withoutInode);

describe('killed', { timeout: 400_000 }, () => {
  test('install: another one completes it, and uninstall takes back what there is of it', async (context) => {
    requireTool(context, 'strace');
    await fresh();
    const steps = await stepsOf(installation);
    expect(tree(host, root).map(withoutInode)).toEqual(complete());
    expect(steps.length).toBeGreaterThan(25);
    for (const [index, step] of steps.entries()) {
      const where = `killed before ${step.syscall} ${step.n} (${index + 1} of ${steps.length})`;
      await fresh();
      await killAt(step, installation);
      await expectWhole();
      if (index % 2 === 0) {
        must(await podwire(host, installation));
        expect(tree(host, root).map(withoutInode), where).toEqual(complete());
      }
      must(await podwire(host, removal));
      expect(tree(host, root), where).toEqual(untouched());
    }
  });

  test('uninstall: another one completes it', async (context) => {
    requireTool(context, 'strace');
    await installed();
    const steps = await stepsOf(removal);
    expect(tree(host, root)).toEqual(untouched());
    expect(steps.length).toBeGreaterThan(10);
    for (const [index, step] of steps.entries()) {
      const where = `killed before ${step.syscall} ${step.n} (${index + 1} of ${steps.length})`;
      await installed();
      await killAt(step, removal);
      await expectWhole();
      must(await podwire(host, removal));
      expect(tree(host, root), where).toEqual(untouched());
    }
  });
});

const withoutInode = (line: string): string => line.replace(/ inode \d+$/, ' inode');
