import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onHost } from './host-paths.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'podwire-root-'));
  for (const directory of ['data/cni/bin', 'opt', 'run/netns'])
    mkdirSync(join(root, directory), { recursive: true });
  symlinkSync('/data/cni', join(root, 'opt/cni'));
  symlinkSync('../run', join(root, 'data/run'));
  symlinkSync('../../../../../../etc', join(root, 'opt/up'));
  symlinkSync('loop', join(root, 'loop'));
  symlinkSync('/bin/plugin', join(root, 'data/cni/bin/bridge'));
});
afterAll(() => rmSync(root, { recursive: true }));

test.each([
  ['/opt/cni/bin', '/data/cni/bin'],
  ['/data/run/netns/x', '/run/netns/x'],
  ['/not/there/yet', '/not/there/yet'],
  // Nothing leads out of the node's root.
  ['/opt/up/passwd', '/etc/passwd'],
  ['/../../etc', '/etc'],
  ['/opt/cni/bin/bridge', '/bin/plugin'],
])('%s of the node', (path, expected) => {
  expect(onHost({ root }, path)).toBe(`${root}${expected}`);
});

test('an entry itself', () => {
  expect(onHost({ root }, '/opt/cni/bin/bridge', true)).toBe(`${root}/data/cni/bin/bridge`);
});

test('a loop', () => {
  expect(() => onHost({ root }, '/loop/x')).toThrow(/loop of symbolic links/);
});

test('without a root of its own everything stays as it is', () => {
  expect(onHost({ root: '/' }, '/opt/cni/bin')).toBe('/opt/cni/bin');
});
