import { CniError, ErrorCode } from '../cni/errors.ts';
import type { SystemError } from './libc.ts';

/** The CniError 100 for a program that could not be started. */
export const startFailure = (argv: string[], cause: SystemError): CniError =>
  new CniError(ErrorCode.commandFailed, `${argv[0]}: could not be started (${cause.code})`, {
    details: 'Check that it is an executable for this machine, and the limits on memory and processes.',
    cause,
  });

/** The CniError 100 for a child that was killed: `end` is the limit of ours that it met, or a signal's name. */
export const killedFailure = (
  argv: string[],
  end: string,
  limits: { timeoutMs: number; outputBytes: number },
): CniError => {
  let what = `was killed by ${end}`;
  if (end === 'timeout') what = `did not finish within ${limits.timeoutMs / 1000} s and was killed`;
  if (end === 'output') what = `printed more than ${limits.outputBytes / 1024 / 1024} MiB and was killed`;
  return new CniError(ErrorCode.commandFailed, `${argv[0]} ${what}`, {
    details: `The command was "${clip(argv.join(' '), 300)}".`,
  });
};

/** The CniError 100 for a tool that ended with a non-zero exit code; `context` says what was attempted. */
export const exitFailure = (
  argv: string[],
  { exitCode, stdout, stderr }: { exitCode: number; stdout: string; stderr: string },
  context?: string,
): CniError => {
  const output = stderr.trim() || stdout.trim() || 'no message';
  const prefix = context === undefined ? '' : `${context}: `;
  const [line = ''] = output.split('\n', 1);
  return new CniError(ErrorCode.commandFailed, `${prefix}${argv[0]} failed: ${clip(line, 300)}`, {
    details: `"${clip(argv.join(' '), 300)}" ended with exit code ${exitCode}: ${clip(output, 2000)}`,
  });
};

const clip = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
