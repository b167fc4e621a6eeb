import { afterAll, beforeAll, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, networks, pluginNames } from './calls.ts';

const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const since = (first: string): string[] => versions.slice(versions.indexOf(first));
const before = (first: string): string[] => versions.slice(0, versions.indexOf(first));

let host: TestHost;
beforeAll(async () => {
  host = await createPluginHost('versions');
  await host.addPod('pod');
});
afterAll(() => host.dispose());

test('a cniVersion that is none of the released ones is refused with code 1', async () => {
  const unknown = [
    '9.9.9',
    '1.2.0',
    '0.5.0',
    '1.1',
    '1',
    'v1.1.0',
    '1.1.0-rc1',
    ' 1.1.0',
    '01.1.0',
    'latest',
  ];
  const rows = pluginNames.flatMap((plugin) =>
    unknown.flatMap((cniVersion) =>
      ['ADD', 'DEL', 'STATUS'].map((command) => ({ plugin, command, cniVersion })),
    ),
  );
  await forAll(
    rows,
    (row) => JSON.stringify(row),
    async ({ plugin, command, cniVersion }) => {
      const config = { ...networks[plugin], cniVersion };
      const error = expectError(await call(host, { plugin, command, config }), 1, `"${cniVersion}"`);
      // The reference library puts the versions it has into the details; runtimes show them.
      for (const version of versions) expect(error.details).toContain(version);
      expect(error.cniVersion).toBe('1.1.0');
    },
  );
});

test('without cniVersion, 0.1.0 is spoken', async () => {
  for (const cniVersion of [undefined, '', null]) {
    const config = { ...networks['host-local'], cniVersion };
    const { result } = await call(host, { plugin: 'host-local', config });
    expect(result?.cniVersion).toBe('0.1.0');
    expect(result?.ip4?.ip).toMatch(/^10\.32\.\d+\.\d+\/16$/);
    expectError(await call(host, { plugin: 'host-local', config, command: 'CHECK' }), 1, 'CHECK');
  }
});

test('CHECK needs 0.4.0, GC and STATUS 1.1.0', async () => {
  const rows = pluginNames.flatMap((plugin) => [
    ...before('0.4.0').map((cniVersion) => ({ plugin, cniVersion, command: 'CHECK' })),
    ...before('1.1.0').flatMap((cniVersion) =>
      ['GC', 'STATUS'].map((command) => ({ plugin, cniVersion, command })),
    ),
  ]);
  await forAll(
    rows,
    (row) => JSON.stringify(row),
    async ({ plugin, cniVersion, command }) => {
      const config = { ...networks[plugin], cniVersion, 'cni.dev/valid-attachments': [] };
      const error = expectError(await call(host, { plugin, command, config }), 1, `"${cniVersion}"`, command);
      expect(error.cniVersion).toBe(cniVersion);
    },
  );
});

test('DEL is known to every version; an error speaks the version of the call', async () => {
  await forAll(
    pluginNames.flatMap((plugin) => versions.map((cniVersion) => ({ plugin, cniVersion }))),
    (row) => JSON.stringify(row),
    async ({ plugin, cniVersion }) => {
      const config = { ...networks[plugin], cniVersion };
      expectSilent(await call(host, { plugin, config, command: 'DEL' }));
      const nameless = await call(host, { plugin, config: { ...config, name: '' } });
      expect(expectError(nameless, 7, 'name').cniVersion).toBe(cniVersion);
    },
  );
});

test('CHECK without prevResult is refused with code 7', async () => {
  await forAll(
    pluginNames.flatMap((plugin) => since('0.4.0').map((cniVersion) => ({ plugin, cniVersion }))),
    (row) => JSON.stringify(row),
    async ({ plugin, cniVersion }) => {
      const config = { ...networks[plugin], cniVersion };
      expectError(await call(host, { plugin, config, command: 'CHECK' }), 7, 'prevResult');
    },
  );
});

test('GC without the list of attachments frees nothing and is refused with code 7', async () => {
  const container = { plugin: 'host-local', containerId: 'kept' };
  expectSilent(await call(host, container));
  for (const list of [{}, { 'cni.dev/valid-attachments': null }]) {
    const config = { ...networks['host-local'], ...list };
    expectError(await call(host, { ...container, config, command: 'GC' }), 7, 'cni.dev/valid-attachments');
  }
  const kept = { containerID: 'kept', ifname: 'eth0' };
  const legacy = { ...networks['host-local'], 'cni.dev/attachments': [kept] };
  expectSilent(await call(host, { ...container, config: legacy, command: 'GC' }));
  const files = await host.shell('grep -l kept /var/lib/cni/networks/addresses/*');
  expect(files.trim().split('\n')).toHaveLength(1);
  expectSilent(await call(host, { ...container, command: 'DEL' }));
});

test('VERSION echoes the version of its input and lists the supported ones', async () => {
  await forAll(
    pluginNames.flatMap((plugin) => [...versions, '9.9.9'].map((cniVersion) => ({ plugin, cniVersion }))),
    (row) => JSON.stringify(row),
    async ({ plugin, cniVersion }) => {
      const outcome = await call(host, { plugin, command: 'VERSION', config: { cniVersion } });
      expectSilent(outcome);
      expect(outcome.result).toEqual({ cniVersion, supportedVersions: versions });
    },
  );
});

test('VERSION does not wait for stdin, and needs nothing from it', async () => {
  const expected = { cniVersion: '1.1.0', supportedVersions: versions };
  for (const plugin of pluginNames) {
    const base = { plugin, command: 'VERSION', env: { CNI_CONTAINERID: undefined, CNI_NETNS: undefined } };
    const inputs = [{ holdStdin: true, stdin: '' }, { stdin: '' }, { stdin: 'garbage' }, { stdin: '[1]' }];
    for (const input of inputs) {
      const outcome = await call(host, { ...base, ...input, timeout: 20_000 });
      expectSilent(outcome);
      expect(outcome.result).toEqual(expected);
    }
  }
  const env = { PATH: '/usr/bin', CNI_COMMAND: 'VERSION' };
  const closed = await host.attempt(['/bin/sh', '-c', `exec ${podwireBin}/bridge <&-`], { env });
  expect(JSON.parse(closed.stdout)).toEqual(expected);
});
