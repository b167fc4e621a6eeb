import { expect } from 'vitest';
import { type Case, every } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';

/** How a plugin behaves as a process. */
export const processCases: readonly Case[] = [
  {
    id: 'about-text',
    covers: ['P7'],
    title: 'without CNI_COMMAND it tells about itself and succeeds',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const { exitCode, stdout, stderr } = await trial.call('', { env: { CNI_COMMAND: undefined } });
      expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
      expect(stderr).toMatch(/CNI/i);
    },
  },
  {
    id: 'unknown-command',
    covers: ['P1', 'P2', 'P8'],
    title: 'an unknown command is error 4',
    applies: every,
    run: async (trial) => {
      const container = await trial.container();
      const outcome = await container.attempt('ADD', { env: { CNI_COMMAND: 'ATTACH' } });
      expect(expectError(outcome, 4).msg).toMatch(/CNI_COMMAND|ATTACH/);
    },
  },
];
