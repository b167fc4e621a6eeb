import { describe, expect, test } from 'vitest';
import { supportedVersions } from './about.ts';
import type { Command } from './plugin.ts';
import { isAtLeast, negotiateVersion } from './versions.ts';

describe('negotiateVersion', () => {
  test('takes each released version for ADD and DEL', () => {
    for (const version of supportedVersions) {
      for (const command of ['ADD', 'DEL'] as const) {
        expect(negotiateVersion(version, command, '0.1.0')).toBe(version);
      }
    }
  });

  test('takes no version for 0.1.0', () => {
    expect(negotiateVersion('', 'ADD', '0.1.0')).toBe('0.1.0');
  });

  test.each<[Command, string]>([
    ['CHECK', '0.4.0'],
    ['GC', '1.1.0'],
    ['STATUS', '1.1.0'],
  ])('knows %s from %s on', (command, first) => {
    for (const version of supportedVersions) {
      const negotiate = (): string => negotiateVersion(version, command, '0.1.0');
      if (isAtLeast(version, first)) expect(negotiate()).toBe(version);
      else expect(negotiate).toThrow(`cniVersion "${version}" does not know ${command}`);
    }
  });

  test("refuses what is below a plugin's own minimum", () => {
    expect(() => negotiateVersion('0.2.0', 'ADD', '0.3.0')).toThrow('too old for this plugin');
    expect(negotiateVersion('0.3.0', 'ADD', '0.3.0')).toBe('0.3.0');
  });

  test.each(['9.9.9', '1.1', 'v1.1.0', ' 1.1.0', 'constructor'])('refuses %j', (version) => {
    expect(() => negotiateVersion(version, 'ADD', '0.1.0')).toThrow(JSON.stringify(version));
  });
});
