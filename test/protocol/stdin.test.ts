import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newContainerId } from '../support/call-plugin.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, expectSilent, forAll, networks, pluginNames } from './calls.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('stdin');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterAll(() => host.dispose());

const valid = JSON.stringify(networks.bridge);
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const megabytes = (count: number): string => 'x'.repeat(count * 1024 * 1024);

describe('stdin that is no JSON object', () => {
  test('is refused with code 6, whatever the verb', async () => {
    const inputs: Record<string, string | Uint8Array> = {
      empty: '',
      blank: ' \n\t ',
      garbage: 'garbage',
      'a second value': `${valid}${valid}`,
      'trailing garbage': `${valid}x`,
      'single quotes': valid.replaceAll('"', "'"),
      'a comment': `// network\n${valid}`,
      'a trailing comma': valid.replace(/}$/, ',}'),
      NaN: '{"cniVersion": NaN}',
      'a list': `[${valid}]`,
      'a string': '"bridge"',
      'a number': '1',
      null: 'null',
      true: 'true',
      binary: new Uint8Array(4096).fill(0xff),
      zeros: new Uint8Array(4096),
      'an ELF header': new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]),
      'UTF-16': new Uint8Array(Buffer.from(valid, 'utf16le')),
      '5 MB of garbage': megabytes(5),
      '5 MB of text, cut off': `{"name": "${megabytes(5)}`,
      'lists in lists': nested(200_000),
      'open brackets': '['.repeat(300_000),
      'open objects': '{"a":'.repeat(100_000),
    };
    const verbs = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'];
    const rows = Object.entries(inputs).flatMap(([title, { length }]) =>
      (length < 10_000 ? verbs : ['ADD']).map((command) => ({ title, command })),
    );
    await forAll(
      rows,
      ({ title, command }) => `${command} ${title}`,
      async ({ title, command }) => {
        const error = expectError(
          await call(host, { plugin: 'bridge', command, stdin: inputs[title] }),
          6,
          'JSON',
        );
        expect(error.details?.length ?? 0).toBeLessThan(500);
      },
    );
  });

  test('is so wherever it is cut off, and for each plugin', async () => {
    const lengths = Array.from({ length: valid.length - 1 }, (_, length) => length).filter(
      (n) => n % 7 === 1,
    );
    await forAll(
      lengths,
      (length) => `cut after ${length} bytes`,
      async (length) => {
        expectError(await call(host, { plugin: 'bridge', stdin: valid.slice(0, length) }), 6);
      },
    );
    for (const plugin of pluginNames) expectError(await call(host, { plugin, stdin: '{' }), 6, 'JSON');
  });
});

describe('a valid configuration', () => {
  const good: Record<string, (text: string) => string | Uint8Array> = {
    'of 5 MB': (text) => text.replace('{', `{"comment": "${megabytes(5)}",`),
    'with 5 MB of white space': (text) => `${' '.repeat(5 * 1024 * 1024)}${text}\n\n`,
    'with a deeply nested unknown key': (text) => text.replace('{', `{"x": ${nested(2000)},`),
    'with keys twice: the last counts': (text) => text.replace('{', '{"name": "../first", "type": 5,'),
    'with __proto__ keys': (text) =>
      text.replace(
        '{',
        '{"__proto__": {"ipam": 5, "mtu": -1, "bridge": "../x"}, "constructor": {"name": 1},',
      ),
    'with invalid UTF-8 in an unknown key': (text) =>
      new Uint8Array(
        Buffer.concat([
          Buffer.from('{"x": "'),
          Buffer.from([0xff, 0xc0, 0x80]),
          Buffer.from(`",${text.slice(1)}`),
        ]),
      ),
    'with escapes': (text) => text.replace('"name"', '"na\\u006de"'),
    'with a byte order mark': (text) => `\ufeff${text}`,
    'with unknown keys, and those of runtimes': (text) =>
      text.replace(
        '{',
        `{"unknown": [{}], "args": {"labels": [{"key": "a"}], "cni": {"labels": [1], "unknown": {}}},
        "capabilities": {"dns": true}, "runtimeConfig": {"unknown": [], "infinibandGUID": [{"hostPort": 1}]},
        "cni.dev/valid-attachments": "not looked at", "cni.dev/x": null, "cniVersions": ["1.0.0", "1.1.0"],
        "disableCheck": true, "disableGC": true, "loadOnlyInlinedPlugins": true, "plugins": 5, "dns": {"unknown": 1},`,
      ),
    'with null for what is optional': (text) =>
      text.replace(
        '{',
        '{"args": null, "runtimeConfig": null, "prevResult": null, "dns": null, "mtu": null,',
      ),
  };

  test('is accepted', async () => {
    await forAll(
      Object.entries(good).flatMap(([title, spoil]) =>
        (['bridge', 'veth', 'host-local', 'static', 'loopback'] as const).map((plugin) => ({
          title,
          spoil,
          plugin,
        })),
      ),
      ({ title, plugin }) => `${plugin} ${title}`,
      async ({ spoil, plugin }) => {
        const pod = await host.addPod(newContainerId());
        const text = JSON.stringify(networks[plugin]);
        const container = { plugin, containerId: pod.name, netns: pod, stdin: spoil(text) };
        const added = await call(host, container);
        expectSilent(added);
        expect(added.result?.cniVersion).toBe('1.1.0');
        expectSilent(await call(host, { ...container, command: 'DEL' }));
        await pod.remove();
      },
    );
  });
});

test('all of this has left nothing', async () => {
  const allow = [/ cni0( |$)/];
  expect(leftovers(before, await snapshot(host), allow)).toEqual(nothing);
});
