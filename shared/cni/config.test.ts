import { describe, expect, test } from 'vitest';
import { parseConfig, peekVersion, validAttachments } from './config.ts';
import type { CniError } from './errors.ts';
import type { Command } from './plugin.ts';

const bytes = (json: unknown): Uint8Array =>
  new TextEncoder().encode(typeof json === 'string' ? json : JSON.stringify(json));
const base = { cniVersion: '1.1.0', name: 'net', type: 'bridge' };
const parse = (json: unknown, command: Command = 'ADD') => parseConfig(bytes(json), command, '0.1.0');
const codeOf = (json: unknown, command: Command = 'ADD'): number => {
  try {
    parse(json, command);
  } catch (error) {
    return (error as CniError).code;
  }
  return 0;
};

describe('parseConfig', () => {
  test('reads the keys that all plugins share', () => {
    const json = {
      ...base,
      runtimeConfig: { mac: '02:00:00:00:00:01' },
      args: { cni: { ips: ['10.1.0.5'] }, other: 1 },
      prevResult: { ips: [{ address: '10.1.0.5/16' }] },
    };
    expect(parse(json)).toEqual({
      cniVersion: '1.1.0',
      name: 'net',
      type: 'bridge',
      json,
      prevResult: { interfaces: [], ips: [{ address: '10.1.0.5/16' }], routes: [], dns: {} },
      runtimeConfig: { mac: '02:00:00:00:00:01' },
      cniArgs: { ips: ['10.1.0.5'] },
    });
  });

  test.each(['', ' ', 'x', '{', '[]', '5', 'null', '{}{}'])('refuses %j with code 6', (text) => {
    expect(codeOf(text)).toBe(6);
  });

  test.each([undefined, null, '', '../x', '.x', 'a/b', 'ä', 'a\n', 'x'.repeat(256), 5])(
    'refuses the name %j',
    (name) => {
      expect(codeOf({ ...base, name })).toBe(7);
    },
  );

  test('reads the version before the name', () => {
    expect(codeOf({ cniVersion: '9.9.9', name: '' })).toBe(1);
  });

  test('minds a bad prevResult where it is needed, and nowhere else', () => {
    for (const prevResult of [5, [], { ips: 5 }, { ips: [{ address: 'x' }] }, { cniVersion: 5 }]) {
      const json = { ...base, prevResult };
      for (const command of ['ADD', 'CHECK'] as const) expect(codeOf(json, command)).toBe(7);
      for (const command of ['DEL', 'GC', 'STATUS'] as const) {
        expect(parse(json, command).prevResult).toBeUndefined();
      }
    }
  });

  test('takes prevResult to be of the configuration’s version when it names none', () => {
    const prevResult = { ip4: { ip: '10.1.0.5/16' } };
    const { prevResult: parsed } = parse({ ...base, cniVersion: '0.2.0', prevResult });
    expect(parsed?.ips).toEqual([{ address: '10.1.0.5/16' }]);
  });
});

describe('peekVersion', () => {
  test('finds what is there and nothing else', () => {
    expect(peekVersion(bytes(base))).toBe('1.1.0');
    for (const json of ['', '{', '[]', {}, { cniVersion: 5 }, { cniVersion: '' }]) {
      expect(peekVersion(bytes(json))).toBeUndefined();
    }
  });
});

describe('validAttachments', () => {
  const one = { containerID: 'a', ifname: 'eth0' };

  test('reads the list, or its older name', () => {
    expect(validAttachments({ 'cni.dev/valid-attachments': [one] })).toEqual([one]);
    expect(validAttachments({ 'cni.dev/attachments': [one] })).toEqual([one]);
    expect(validAttachments({ 'cni.dev/valid-attachments': [], 'cni.dev/attachments': [one] })).toEqual([]);
  });

  test('takes an absent list for a mistake, never for an empty one', () => {
    for (const json of [{}, { 'cni.dev/valid-attachments': null }]) {
      expect(() => validAttachments(json)).toThrow('GC needs "cni.dev/valid-attachments"');
    }
  });

  test.each([
    5,
    {},
    'x',
    ['x'],
    [{}],
    [{ containerID: 'a' }],
    [{ containerID: '', ifname: 'e' }],
    [{ ...one, ifname: 5 }],
  ])('refuses %j', (list) => {
    expect(() => validAttachments({ 'cni.dev/valid-attachments': list })).toThrow(
      'cni.dev/valid-attachments',
    );
  });
});
