import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, pluginNames } from './calls.ts';

let host: TestHost;
beforeAll(async () => {
  host = await createPluginHost('environment');
  await host.addPod('pod');
});
afterAll(() => host.dispose());

const needed: Record<string, string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  GC: ['CNI_PATH'],
};

// One variable at a time, unset and empty, and all at once.
const missing = pluginNames.flatMap((plugin) =>
  Object.entries(needed).flatMap(([command, names]) => [
    ...names.flatMap((name) => [
      { plugin, command, env: { [name]: undefined }, names: [name] },
      { plugin, command, env: { [name]: '' }, names: [name] },
    ]),
    { plugin, command, env: Object.fromEntries(names.map((name) => [name, undefined])), names },
  ]),
);

describe('missing variables', () => {
  test('are all named, with code 4', async () => {
    const before = await snapshot(host);
    await forAll(
      missing,
      ({ plugin, command, env }) => `${plugin} ${command} ${JSON.stringify(env)} ${Object.keys(env)}`,
      async ({ plugin, command, env, names }) => {
        expectError(await call(host, { plugin, command, env }), 4, ...names);
      },
    );
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });
});

describe('CNI_COMMAND', () => {
  test('is none but the six verbs, in capitals', async () => {
    const verbs = ['add', 'UPDATE', ' ADD', 'ADD ', 'toString', '__proto__', 'constructor', 'ADD;DEL'];
    await forAll(
      pluginNames.flatMap((plugin) => verbs.map((command) => ({ plugin, command }))),
      ({ plugin, command }) => `${plugin} ${command}`,
      async ({ plugin, command }) => {
        expectError(await call(host, { plugin, command }), 4, 'CNI_COMMAND', JSON.stringify(command));
      },
    );
  });
});

describe('CNI_CONTAINERID', () => {
  test('begins with a letter or digit and holds no others than those, "_", "." and "-"', async () => {
    const bad = [
      '-x',
      '.x',
      '_x',
      '../x',
      'a/b',
      'a b',
      'a\n',
      '\na',
      'a;b',
      'a=b',
      'ä',
      'a\tb',
      "a'b",
      '$x',
    ];
    const rows = bad.flatMap((containerId) =>
      ['bridge', 'veth', 'host-local', 'static', 'loopback'].flatMap((plugin) =>
        ['ADD', 'DEL'].map((command) => ({ plugin, command, containerId })),
      ),
    );
    await forAll(
      rows,
      (row) => JSON.stringify(row),
      async (row) => {
        expectError(await call(host, row), 4, 'CNI_CONTAINERID', JSON.stringify(row.containerId));
      },
    );
  });

  test('may be any other text, of any length', async () => {
    const good = ['a', '0', 'a_b.c-d', 'A'.repeat(64), 'x'.repeat(1000), 'a..', 'a--b'];
    const before = await snapshot(host);
    for (const [index, containerId] of good.entries()) {
      const ifname = `net${index}`;
      for (const plugin of ['bridge', 'veth', 'host-local']) {
        const interfaceName = plugin === 'veth' ? `v${ifname}` : ifname;
        const container = { plugin, containerId, ifname: interfaceName };
        expectSilent(await call(host, container));
        expectSilent(await call(host, { ...container, command: 'DEL' }));
      }
    }
    const { added } = leftovers(before, await snapshot(host));
    expect(added.filter((line) => !/ cni0( |$)/.test(line))).toEqual([]);
  });
});
