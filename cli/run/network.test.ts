import { describe, expect, test } from 'vitest';
import {
  isSinglePlugin,
  parseNetworkList,
  parsePlugin,
  parseSinglePlugin,
  withFolderPlugins,
} from './network.ts';

const list = (extra: object) =>
  JSON.stringify({ name: 'n', cniVersion: '1.0.0', plugins: [{ type: 'bridge' }], ...extra });

describe('a configuration list', () => {
  test('is read with its defaults', () => {
    const text = list({});
    expect(parseNetworkList(text, 'f')).toEqual({
      name: 'n',
      cniVersion: '1.0.0',
      disableCheck: false,
      disableGC: false,
      loadOnlyInlinedPlugins: false,
      plugins: [{ type: 'bridge', json: { type: 'bridge' } }],
      text,
    });
  });

  test.each([
    ['the highest this runtime knows', { cniVersions: ['0.4.0', '1.1.0', '9.0.0'] }, '1.1.0'],
    ['cniVersion when that is higher', { cniVersions: ['0.4.0'] }, '1.0.0'],
    ['by number, not by letter', { cniVersion: '0.3.1', cniVersions: ['0.10.0', '0.4.0'] }, '0.10.0'],
    ['cniVersion when the list has nothing usable', { cniVersion: '9.0.0', cniVersions: ['8.0.0'] }, '9.0.0'],
  ])('chooses of cniVersions %s', (_name, extra, version) => {
    expect(parseNetworkList(list(extra), 'f').cniVersion).toBe(version);
  });

  test('takes flags as booleans and as words', () => {
    const network = parseNetworkList(
      list({ disableCheck: 'TRUE', disableGC: true, loadOnlyInlinedPlugins: 'false' }),
      'f',
    );
    expect(network).toMatchObject({ disableCheck: true, disableGC: true, loadOnlyInlinedPlugins: false });
  });

  test.each([
    ['{', 6, 'f is not valid JSON'],
    ['[]', 7, 'must be a JSON object'],
    ['{}', 7, '"name" must be a string'],
    [list({ name: 1 }), 7, '"name" must be a string'],
    [list({ cniVersion: 1 }), 7, '"cniVersion" must be a string'],
    [list({ cniVersions: '1.0.0' }), 7, '"cniVersions" must be a list of strings'],
    [list({ cniVersions: ['x'] }), 7, 'invalid CNI version "x"'],
    [list({ plugins: [] }), 7, '"plugins" must be a list with at least one plugin'],
    [list({ plugins: {} }), 7, '"plugins" must be a list'],
    [list({ plugins: [1] }), 7, "a plugin's configuration must be an object"],
    [list({ plugins: [{}] }), 7, '"type" must name a plugin'],
    [list({ disableCheck: 'yes' }), 7, '"disableCheck" must be true or false'],
    ['{"name":"n","loadOnlyInlinedPlugins":true}', 7, 'there is no "plugins"'],
  ])('is refused: %s', (text, code, message) => {
    expect(() => parseNetworkList(text, 'f')).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  test('may leave all plugins to the folder', () => {
    const network = parseNetworkList('{"name":"n"}', 'f');
    expect(network.plugins).toEqual([]);
    const full = withFolderPlugins(network, [parsePlugin('{"type":"tuning","a":1}', 'g')]);
    expect(full.plugins.map(({ type }) => type)).toEqual(['tuning']);
    const again = parseNetworkList(full.text, 'cache');
    expect(again).toMatchObject({ plugins: full.plugins, loadOnlyInlinedPlugins: true });
  });
});

describe('a configuration of one plugin', () => {
  test('becomes a list of one that keeps every key of the plugin', () => {
    const text = '{"name":"old","cniVersion":"0.2.0","type":"bridge","isGateway":true}';
    expect(isSinglePlugin(text, 'f')).toBe(true);
    const network = parseSinglePlugin(text, 'f');
    expect(network).toMatchObject({ name: 'old', cniVersion: '0.2.0' });
    expect(network.plugins[0]?.json).toEqual(JSON.parse(text));
    expect(parseNetworkList(network.text, 'cache').plugins).toEqual(network.plugins);
  });

  test('is told from a list', () => {
    expect(isSinglePlugin(list({}), 'f')).toBe(false);
  });
});
