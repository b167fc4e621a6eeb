import { describe, expect, test } from 'vitest';
import { pluginNames } from '../../shared/cni/plugin-names.ts';
import type { Identity } from './identify.ts';
import type { Manifest } from './manifest.ts';
import { type InstallWish, planInstall } from './plan-install.ts';

const own = { version: '1.0.0', buildId: 'new' };
const wish: InstallWish = {
  binDir: '/opt/cni/bin',
  plugins: undefined,
  takeover: false,
  force: false,
  isUpgrade: false,
};
const ours = (version: string): Identity => ({
  kind: 'ours',
  build: { version, buildId: 'old' },
  inode: '1:1',
});
const foreign: Identity = { kind: 'foreign', what: 'file' };
const manifest: Manifest = {
  version: 1,
  state: 'installed',
  podwire: { version: '0.9.0', buildId: 'old', sha256: '' },
  binDir: '/opt/cni/bin',
  names: ['podwire', 'bridge'],
  everything: false,
  saved: [],
  made: [],
};
const plan = (given: Partial<InstallWish>, present: Record<string, Identity>, known?: Manifest) =>
  planInstall({ ...wish, ...given }, { manifest: known, present: new Map(Object.entries(present)), own });
const all = ['podwire', ...pluginNames];

describe('what is installed', () => {
  test('all of it', () => {
    expect(plan({}, {})).toEqual({ names: all, everything: true, foreign: [], from: undefined });
  });
  test('some, and the command', () => {
    expect(plan({ plugins: ['static', 'bridge'] }, {})).toMatchObject({
      names: ['podwire', 'bridge', 'static'],
      everything: false,
    });
  });
  test('nothing that is there is taken away', () => {
    expect(plan({ plugins: ['static'] }, { veth: ours('0.9.0') }, manifest).names).toEqual([
      'podwire',
      'bridge',
      'veth',
      'static',
    ]);
  });
  test('an upgrade of some brings no more, of all also what is new', () => {
    const present = { podwire: ours('0.9.0'), bridge: ours('0.9.0') };
    expect(plan({ isUpgrade: true }, present, manifest)).toMatchObject({
      names: ['podwire', 'bridge'],
      from: { version: '0.9.0' },
    });
    expect(plan({ isUpgrade: true }, present, { ...manifest, everything: true }).names).toEqual(all);
    expect(plan({ isUpgrade: true }, { ptp: ours('0.9.0') }).names).toEqual(['podwire', 'ptp']);
  });
});

describe('what is refused', () => {
  test('files of others, but for the names that are not wanted', () => {
    const present = {
      bridge: foreign,
      ptp: { kind: 'foreign', what: 'symbolic link to x' } as const,
      dhcp: foreign,
    };
    expect(() => plan({}, present)).toThrow(
      /files of others under our names: bridge, ptp \(symbolic link to x\)/,
    );
    expect(plan({ plugins: ['veth'] }, present).foreign).toEqual([]);
    expect(plan({ takeover: true }, present).foreign.map(({ name }) => name)).toEqual(['bridge', 'ptp']);
  });
  test('a directory, always', () => {
    const present: Record<string, Identity> = { bridge: { kind: 'immovable', what: 'directory' } };
    expect(() => plan({ takeover: true }, present)).toThrow('/opt/cni/bin/bridge is in the way: a directory');
  });
  test('the way back, without force', () => {
    const present = { bridge: ours('1.0.1') };
    expect(() => plan({}, present)).toThrow(/podwire 1.0.1 \(old\), which is newer than this 1.0.0 \(new\)/);
    expect(() => plan({ isUpgrade: true }, present)).toThrow(/newer/);
    expect(plan({ force: true }, present).from?.version).toBe('1.0.1');
    expect(plan({}, { bridge: ours('1.0.0') }).from?.buildId).toBe('old');
  });
  test('an upgrade of nothing', () => {
    expect(() => plan({ isUpgrade: true }, { bridge: foreign })).toThrow(/not installed/);
  });
  test('a second directory', () => {
    expect(() => plan({ binDir: '/usr/lib/cni' }, {}, manifest)).toThrow(
      /installed in \/opt\/cni\/bin, not in/,
    );
  });
});
