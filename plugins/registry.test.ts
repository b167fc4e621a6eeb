import { expect, test } from 'vitest';
import { commandName, pluginNames } from '../shared/cni/plugin-names.ts';
import { findPlugin } from './registry.ts';

test.each(pluginNames)('the executable has the plugin %s', (name) => {
  expect(findPlugin(name)?.title).toMatch(/\S/);
});

test('the command is no plugin, and nothing else is', () => {
  expect(findPlugin(commandName)).toBeUndefined();
  expect(findPlugin('no-such-plugin')).toBeUndefined();
  // What every object of JavaScript has.
  expect(findPlugin('constructor')).toBeUndefined();
  expect(new Set([commandName, ...pluginNames]).size).toBe(pluginNames.length + 1);
});
