import type { PluginOutcome } from '../../support/call-plugin.ts';

const keysOfErrors = ['cniVersion', 'code', 'msg', 'details'];

/**
 * What is wrong with the form of a call's end, undefined when nothing is (SPEC.md, "Execution protocol"):
 * one result or nothing with exit code 0, or exactly one error object of an expected code with exit
 * code 1; nothing on stderr; and in time. Calls that a signal ended are not looked at.
 */
export const contractBreach = (
  verb: string,
  outcome: PluginOutcome,
  expectedCodes: readonly number[],
): string | undefined => {
  const { exitCode, signal, timedOut, stdout, stderr, result, error } = outcome;
  if (timedOut) return 'did not end in time';
  if (exitCode === undefined) return `was ended by ${signal}`;
  if (stderr !== '') return `wrote to stderr: ${stderr.slice(0, 500)}`;
  if (exitCode === 0) {
    if (verb !== 'ADD') return stdout === '' ? undefined : `printed ${stdout.slice(0, 500)}`;
    return result?.cniVersion === undefined ? `printed no result: ${stdout.slice(0, 500)}` : undefined;
  }
  if (exitCode !== 1) return `exited with ${exitCode}`;
  if (error === undefined) return `printed no error object: ${stdout.slice(0, 500)}`;
  const foreign = Object.keys(error).filter((key) => !keysOfErrors.includes(key));
  if (foreign.length > 0) return `has keys in its error that do not belong there: ${foreign.join(', ')}`;
  if (
    typeof error.msg !== 'string' ||
    error.msg === '' ||
    /[\r\n]/.test(error.msg) ||
    error.msg.length > 1000
  )
    return `has the msg ${JSON.stringify(error.msg)}`;
  if (expectedCodes.includes(error.code)) return undefined;
  return `failed with ${error.code}: ${error.msg} (${error.details ?? ''})`;
};
