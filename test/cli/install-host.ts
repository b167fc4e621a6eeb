import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { podwireBin } from '../support/binaries.ts';
import { type Outcome, systemPath } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';

/** Calls the command in the host; `command` is another build's. */
export const podwire = (
  host: TestHost,
  args: string[],
  command = `${podwireBin}/podwire`,
): Promise<Outcome> => host.attempt([command, ...args], { env: { PATH: systemPath }, timeout: 60_000 });

/** As `podwire`, with --json, for what it prints; throws when it failed. */
export const podwireJson = async <T>(host: TestHost, args: string[], command?: string): Promise<T> => {
  const outcome = await podwire(host, [...args, '--json'], command);
  if (outcome.exitCode === 0) return JSON.parse(outcome.stdout) as T;
  throw new Error(
    `podwire ${args.join(' ')} exited with ${outcome.exitCode}\n${outcome.stdout}${outcome.stderr}`,
  );
};

/** A build of another version, outside of the host: the path of its command, and what removes it. */
export const buildVersion = (version: string): { command: string; remove: () => void } => {
  const directory = mkdtempSync(join(tmpdir(), 'podwire-build-'));
  const repository = resolve(import.meta.dirname, '../..');
  execFileSync(join(repository, 'scripts/build'), ['--into', directory], {
    env: { ...process.env, PODWIRE_BUILD_VERSION: version, PODWIRE_BUILD_ID: 'other' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return {
    command: `${directory}/podwire`,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
};

/**
 * All that is below a directory of the host, a line for each: type, mode, owner, and a link's target or a file's
 * content. Large files are told by inode, which hard links share.
 */
export const tree = (host: TestHost, directory: string): string[] =>
  list(host.path(directory), '').toSorted();

const list = (directory: string, prefix: string): string[] => {
  const names = readdirSync(directory);
  return names.flatMap((name) => {
    const path = `${directory}/${name}`;
    const stats = lstatSync(path);
    const shown = `${prefix}/${name} ${stats.mode.toString(8)} ${stats.uid}:${stats.gid}`;
    if (stats.isDirectory()) return [shown, ...list(path, `${prefix}/${name}`)];
    if (stats.isSymbolicLink()) return [`${shown} -> ${readlinkSync(path)}`];
    if (stats.size > LARGE) return [`${shown} inode ${stats.ino}`];
    return [`${shown} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`];
  });
};

const LARGE = 50_000_000;
