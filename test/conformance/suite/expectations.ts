import { expect } from 'vitest';
import type { PluginOutcome, PrintedError } from '../../support/call-plugin.ts';

/**
 * The one error object of a call that failed as it should: an exit code other than 0, and on stdout nothing
 * but a JSON object with a numeric code and a message. `codes` are those that the requirement allows.
 */
export const expectError = (outcome: PluginOutcome, ...codes: number[]): PrintedError => {
  const { error, exitCode, signal, stdout, stderr } = outcome;
  if (exitCode === 0) throw new Error(`succeeded: ${stdout}`);
  if (error === undefined) {
    throw new Error(`no error object: exit ${exitCode ?? signal}, stdout "${stdout}", stderr "${stderr}"`);
  }
  expect(error, 'the error object').toMatchObject({ code: expect.any(Number), msg: expect.any(String) });
  if (codes.length > 0) expect(codes, `code of ${stdout}`).toContain(error.code);
  return error;
};

/** A call that succeeded and printed nothing on stdout, as DEL, CHECK, GC and STATUS do. */
export const expectSilence = (outcome: PluginOutcome): void => {
  const { exitCode, signal, stdout, stderr } = outcome;
  if (exitCode !== 0) throw new Error(`exit ${exitCode ?? signal}: ${stdout}${stderr}`);
  expect(stdout, 'stdout').toBe('');
};
