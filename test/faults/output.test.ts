import { afterAll, beforeAll, expect, test } from 'vitest';
import { call, createPluginHost, expectSilent, networks } from '../protocol/calls.ts';
import { podwireBin } from '../support/binaries.ts';
import { systemPath } from '../support/process.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { breakTool, brokenEnv, mendTools, ofDel } from './broken-tools.ts';

const plugins = ['bridge', 'veth', 'host-local', 'static', 'loopback'] as const;

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('output');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterAll(() => host.dispose());

const nothingLeft = async (): Promise<void> =>
  expect(leftovers(before, await snapshot(host), [/ cni0( |$)/])).toEqual(nothing);

/** Runs a plugin with its output redirected by a shell (`"$@"` is the plugin); its exit code and what reached stderr. */
const redirected = async (
  plugin: (typeof plugins)[number],
  script: string,
  command = 'ADD',
  stdin?: string,
) => {
  const env = {
    PATH: systemPath,
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'unheard',
    CNI_NETNS: '/run/netns/pod',
    CNI_IFNAME: 'eth0',
    CNI_PATH: podwireBin,
  };
  return host.attempt(['/bin/bash', '-c', script, 'bash', `${podwireBin}/${plugin}`], {
    env,
    stdin: stdin ?? JSON.stringify(networks[plugin]),
  });
};

// A result that nobody has got is no result: the pod would have an address that its runtime does not know.
test('ADD whose result can not be delivered is undone: stdout on a full device', async () => {
  for (const plugin of plugins) {
    const { exitCode, stderr } = await redirected(plugin, '"$@" >/dev/full');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('ENOSPC');
    await nothingLeft();
  }
});

test('ADD whose result can not be delivered, nor be undone: both errors are told, and the next DEL helps', async () => {
  await breakTool(host, 'ip', ofDel, 'echo no chance today >&2; exit 1');
  const script = `PATH=${brokenEnv.PATH} "$@" >/dev/full`;
  const { exitCode, stderr } = await redirected('bridge', script);
  await mendTools(host);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/ENOSPC.*While undoing: .*no chance today/);
  expectSilent(await call(host, { plugin: 'bridge', containerId: 'unheard', command: 'DEL' }));
  await nothingLeft();
});

test('ADD whose result can not be delivered is undone: a reader that is gone', async () => {
  for (const plugin of plugins) {
    const script = 'exec 3> >(:); wait $!; "$@" >&3';
    const { exitCode, stderr } = await redirected(plugin, script);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('EPIPE');
    await nothingLeft();
  }
});

test('a closed stdout, stderr or both: it fails and is undone, or succeeds; never writes into its own files', async () => {
  for (const plugin of plugins) {
    for (const redirect of ['>&-', '2>&-', '>&- 2>&-', '<&3 3<&- >&-']) {
      const script = redirect.startsWith('<') ? `exec 3<&0; "$@" ${redirect}` : `"$@" ${redirect}`;
      const { exitCode } = await redirected(plugin, script);
      expect([0, 1]).toContain(exitCode);
      const state = await host.shell('grep -rl cniVersion /var/lib/cni /run/podwire || true');
      expect(state).toBe('');
      if (exitCode === 0) expectSilent(await call(host, { plugin, containerId: 'unheard', command: 'DEL' }));
      await nothingLeft();
    }
  }
});

test('a full or closed stderr does not disturb', async () => {
  for (const redirect of ['2>/dev/full', '2>&-']) {
    for (const plugin of plugins) {
      const { exitCode, stdout } = await redirected(plugin, `"$@" ${redirect}`);
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout)).toHaveProperty('cniVersion');
      expect(await redirected(plugin, `"$@" ${redirect}`, 'DEL')).toMatchObject({ exitCode: 0, stdout: '' });
    }
  }
  await nothingLeft();
});

test('an error that can not be delivered is told by exit code and stderr', async () => {
  for (const plugin of plugins) {
    for (const script of ['"$@" >/dev/full', 'exec 3> >(:); wait $!; "$@" >&3']) {
      const { exitCode, stderr } = await redirected(plugin, script, 'ADD', '{"name": 5}');
      expect(exitCode).toBe(1);
      expect(stderr).toContain('"name" must be a string');
    }
    const nowhere = await redirected(plugin, '"$@" >/dev/full 2>/dev/full', 'ADD', '{"name": 5}');
    expect(nowhere.exitCode).toBe(1);
  }
  await nothingLeft();
});

test('a reader that takes its time gets the whole of it', async () => {
  const options = Array.from({ length: 20_000 }, (_, index) => `option-${index}`);
  const ipam = { ...networks.static.ipam, dns: { options } };
  const stdin = JSON.stringify({ ...networks.static, ipam });
  const { stdout } = await redirected('static', '"$@" | { sleep 0.3; cat; }', 'ADD', stdin);
  expect(JSON.parse(stdout).dns.options).toEqual(options);
});
