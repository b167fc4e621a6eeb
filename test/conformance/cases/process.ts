import { copyFileSync, linkSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect } from 'vitest';
import { expectSuccess, type RunOptions } from '../../support/process.ts';
import { type Case, every, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';

/** How a plugin behaves as a process. */
export const processCases: readonly Case[] = [
  {
    id: 'about-text',
    covers: ['P7'],
    title: 'without CNI_COMMAND it tells about itself and succeeds, whatever stdin is',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      for (const CNI_COMMAND of [undefined, '']) {
        const { exitCode, stdout, stderr } = await trial.call('', { env: { CNI_COMMAND }, holdStdin: true });
        expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
        expect(stderr).toMatch(/CNI/i);
      }
    },
  },
  {
    id: 'unknown-command',
    covers: ['P1', 'P2', 'P8'],
    title: 'an unknown command is error 4',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const CNI_COMMAND of ['ATTACH', 'add', 'ADD ', 'ADD;DEL']) {
        const outcome = await container.attempt('ADD', { env: { CNI_COMMAND } });
        expect(expectError(outcome, 4).msg).toMatch(/CNI_COMMAND|ATTACH|add/i);
      }
    },
  },
  {
    id: 'exit-codes',
    covers: ['P1', 'P2'],
    title: 'success is exit code 0 and one JSON object or nothing; failure another code and one error object',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const { cniVersion } = await container.add();
      expect(cniVersion).toBe(trial.version);
      const nameless = { config: { ...container.config, name: '' } };
      const failed = await container.attempt('ADD', { ...nameless, ifname: 'eth7' });
      expect(expectError(failed, 7).msg).not.toBe('');
      expectSilence(await container.attempt('DEL'));
    },
  },
  {
    id: 'quiet',
    covers: ['P4'],
    title: 'success writes nothing to stderr',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const silent = { exitCode: 0, stderr: '' };
      const added = await container.attempt('ADD');
      expect({ exitCode: added.exitCode, stderr: added.stderr }).toEqual(silent);
      container.result = added.result;
      const deleted = await container.attempt('DEL');
      expect({ exitCode: deleted.exitCode, stderr: deleted.stderr }).toEqual(silent);
    },
  },
  {
    id: 'stdout-full',
    covers: ['P1', 'P3'],
    title: 'an ADD whose result cannot be written fails',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const outcome = await container.attempt('ADD', { stdout: { file: '/dev/full' } });
      expect(outcome.exitCode).not.toBe(0);
      await container.del();
    },
  },
  {
    id: 'bare-environment',
    covers: ['P5'],
    title: 'no variable but CNI_* is needed, and the working directory does not matter',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      await trial.host.shell('mkdir -p /run/elsewhere; chmod 0 /run/elsewhere');
      for (const directory of ['/', '/run/elsewhere']) {
        const container = await trial.container();
        const added = JSON.parse(await bareCall(container, directory, 'ADD')) as { cniVersion: string };
        expect(added.cniVersion).toBe(trial.version);
        expect(await bareCall(container, directory, 'DEL')).toBe('');
      }
    },
  },
  {
    id: 'replaced-executable',
    covers: ['P6'],
    title: 'calls succeed while the executable is replaced by renaming another one over it',
    applies: only('bridge', 'host-local', 'portmap'),
    versions: 'newest',
    run: async (trial) => {
      const scratch = mkdtempSync(`${tmpdir()}/conformance-replaced-`);
      try {
        const { type } = trial.profile;
        for (const copy of ['a', 'b']) copyFileSync(`${trial.subject.binDir}/${type}`, `${scratch}/${copy}`);
        const binDir = `${scratch}/bin`;
        mkdirSync(binDir);
        const replaceBy = (copy: string): void => {
          linkSync(`${scratch}/${copy}`, `${scratch}/next`);
          renameSync(`${scratch}/next`, `${binDir}/${type}`);
        };
        replaceBy('a');
        let calling = true;
        const replacing = (async () => {
          for (let count = 0; calling; count += 1) {
            replaceBy(count % 2 === 0 ? 'b' : 'a');
            await new Promise((resolve) => setTimeout(resolve, 3));
          }
        })();
        const replaced = { binDir, path: [binDir, trial.subject.binDir] };
        const container = await trial.container();
        for (let call = 0; call < 8; call += 1) {
          await container.add(replaced);
          await container.del(replaced);
        }
        calling = false;
        await replacing;
      } finally {
        rmSync(scratch, { recursive: true });
      }
    },
  },
];

/** A call with the CNI variables alone, started in this directory; its stdout. */
const bareCall = async (container: Container, directory: string, command: string): Promise<string> => {
  const { trial, id, pod, ifname, config, earlier } = container;
  const { binDir } = trial.subject;
  const options: RunOptions = {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: ifname,
      CNI_PATH: binDir,
    },
    stdin: JSON.stringify(earlier === undefined ? config : { ...config, prevResult: earlier }),
  };
  const argv = ['/usr/bin/env', '-C', directory, `${binDir}/${trial.profile.type}`];
  const outcome = await trial.host.attempt(argv, options);
  if (outcome.exitCode !== 0) return expectSuccess({ ...outcome, argv: [command, ...outcome.argv] });
  return outcome.stdout;
};
