import { execSync } from 'node:child_process';
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCommand } from './command.ts';
import { listLinks } from './link.ts';
import { isOwnNetns, type Netns, openNetns, openNetnsIfPresent } from './netns.ts';
import { startCommand } from './running-command.ts';
import { createNetns, requireNamespaces } from './test-netns.ts';

const OWN = '/proc/thread-self/ns/net';
const here = () => readlinkSync(OWN);

describe('a network namespace', () => {
  let netns: Netns;
  beforeEach(async (context) => {
    requireNamespaces(context);
    netns = await createNetns();
    return () => netns.close();
  });

  test('holds this thread and its children during run, and not after', () => {
    const outside = here();
    const inside = `net:[${netns.inode}]`;
    expect(inside).not.toBe(outside);
    expect(netns.run(here)).toBe(inside);
    expect(netns.run(() => runCommand('readlink', ['/proc/self/ns/net']).stdout)).toBe(`${inside}\n`);
    expect(netns.run(listLinks).map(({ name }) => name)).toContain('lo');
    expect(here()).toBe(outside);
    expect(runCommand('readlink', ['/proc/self/ns/net']).stdout).toBe(`${outside}\n`);
  });

  test('is left again when the body throws, and when it returns a promise, which is refused', () => {
    const outside = here();
    expect(() =>
      netns.run(() => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(here()).toBe(outside);
    expect(() => netns.run(async () => 1)).toThrow(/synchronous/);
    expect(here()).toBe(outside);
  });

  test('can be entered from within another', async () => {
    const other = await createNetns();
    const inodes = netns.run(() => [here(), other.run(here), here()]);
    expect(inodes).toEqual([netns, other, netns].map(({ inode }) => `net:[${inode}]`));
    other.close();
  });

  test('starts asynchronous children inside too', async () => {
    const command = netns.run(() => startCommand('readlink', ['/proc/self/ns/net']));
    expect((await command.result()).stdout).toBe(`net:[${netns.inode}]\n`);
  });

  test('can be referred to by a path that children can open', () => {
    const outside = here();
    expect(runCommand('nsenter', [`--net=${netns.reference}`, 'readlink', '/proc/self/ns/net'])).toEqual({
      stdout: `net:[${netns.inode}]\n`,
      stderr: '',
      exitCode: 0,
    });
    expect(here()).toBe(outside);
  });

  test('is told apart from our own', () => {
    expect(isOwnNetns(netns)).toBe(false);
    const own = openNetns(OWN);
    expect(isOwnNetns(own)).toBe(true);
    expect(netns.run(() => isOwnNetns(own))).toBe(true);
    own.close();
  });
});

describe('opening', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'podwire-'));
    writeFileSync(join(directory, 'file'), '');
    execSync(`mkfifo ${join(directory, 'fifo')}`);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test.each([
    ['', /CNI_NETNS "" is empty/],
    ['/nonexistent/netns', /CNI_NETNS "\/nonexistent\/netns" does not exist/],
    ['DIR/file/netns', /cannot be opened \(ENOTDIR\)/],
    ['DIR/file', /is not a network namespace/],
    ['DIR/fifo', /is not a network namespace/],
    ['DIR', /is not a network namespace/],
    ['/proc/self/ns/mnt', /is not a network namespace/],
    [`/${'x'.repeat(300)}`, /cannot be opened \(ENAMETOOLONG\)/],
    ['/proc/self\0/ns/net', /cannot be opened/],
  ])('%j is error 8, and nothing to DEL', (path, message) => {
    const actual = path.replace('DIR', directory);
    expect(() => openNetns(actual)).toThrow(
      expect.objectContaining({ code: 8, message: expect.stringMatching(message) }),
    );
    expect(openNetnsIfPresent(actual)).toBeUndefined();
  });

  test('leaks no descriptor', () => {
    const count = () => runCommand('ls', [`/proc/${process.pid}/fd`]).stdout.split('\n').length;
    openNetnsIfPresent(OWN)?.close();
    const before = count();
    for (let times = 0; times < 50; times += 1) {
      openNetnsIfPresent(join(directory, 'file'));
      openNetnsIfPresent(OWN)?.close();
    }
    expect(count()).toBeLessThan(before + 20);
  });
});
