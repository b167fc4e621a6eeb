import { afterAll, beforeAll, expect, test } from 'vitest';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll } from './calls.ts';

let host: TestHost;
beforeAll(async () => {
  host = await createPluginHost('args');
  await host.addPod('pod');
});
afterAll(() => host.dispose());

const readers = ['bridge', 'veth', 'host-local', 'static'];

test('CNI_ARGS that is no list of KEY=VALUE is refused with code 4', async () => {
  const before = await snapshot(host);
  const malformed = ['A', 'A=B=C', ';;', ';', '=x', 'IP=;', 'IgnoreUnknown=1;A', ' ', 'A=1;;B=2'];
  await forAll(
    readers.flatMap((plugin) => malformed.map((args) => ({ plugin, args }))),
    (row) => JSON.stringify(row),
    async (row) => {
      expectError(await call(host, row), 4, 'CNI_ARGS');
    },
  );
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);
});

test('an unknown key is refused by name, unless IgnoreUnknown is set', async () => {
  const unknown = ['FOO=1', 'FOO=1;IgnoreUnknown=0', 'IgnoreUnknown=false;FOO=', 'ip=10.30.0.9;FOO=2'];
  await forAll(
    readers.flatMap((plugin) => unknown.map((args) => ({ plugin, args }))),
    (row) => JSON.stringify(row),
    async (row) => {
      expectError(await call(host, row), 4, 'CNI_ARGS', 'FOO');
    },
  );
});

test('IgnoreUnknown lets others pass, as containerd and CRI-O need it', async () => {
  const pass = [
    'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1-2-3',
    'IgnoreUnknown=true;FOO=1',
    'FOO=1;IgnoreUnknown=TRUE',
    'IgnoreUnknown=1;constructor=1;__proto__=2',
    'IgnoreUnknown=1;FOO=',
    '',
  ];
  const before = await snapshot(host);
  for (const [index, args] of pass.entries()) {
    for (const plugin of readers) {
      const container = {
        plugin,
        args,
        containerId: `${plugin}-${index}`,
        ifname: `${plugin.slice(0, 4)}${index}`,
      };
      expectSilent(await call(host, container));
      expectSilent(await call(host, { ...container, command: 'DEL' }));
    }
  }
  const { added } = leftovers(before, await snapshot(host));
  expect(added.filter((line) => !/ cni0( |$)/.test(line))).toEqual([]);
});

test('values that a key can not have are refused by name', async () => {
  const before = await snapshot(host);
  const rows = [
    { plugin: 'bridge', args: 'MAC=nonsense', word: 'MAC' },
    { plugin: 'bridge', args: 'MAC=02:00:00:00:00', word: 'MAC' },
    { plugin: 'bridge', args: 'MAC=01:00:5e:00:00:01', word: 'MAC' },
    { plugin: 'bridge', args: 'IP=10.30.0', word: 'IP' },
    { plugin: 'veth', args: 'IP=not-an-address', word: 'IP' },
    { plugin: 'host-local', args: 'IP=10.32.0.300', word: 'IP' },
    { plugin: 'static', args: 'IP=10.33.0.9', word: 'IP' },
    { plugin: 'static', args: 'IP=10.33.0.9/16;GATEWAY=10.33', word: 'GATEWAY' },
  ];
  await forAll(
    rows,
    ({ plugin, args }) => `${plugin} ${args}`,
    async ({ word, ...row }) => {
      expectError(await call(host, row), [4, 7], word);
    },
  );
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);
});
