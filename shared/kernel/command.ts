import type { CniError } from '../cni/errors.ts';
import {
  type ChildOptions,
  type ChildSetup,
  DEFAULT_TIMEOUT_MS,
  killed,
  spawnOptions,
  toolSetup,
} from './child.ts';
import { exitFailure, startFailure } from './child-failure.ts';
import { writeSync } from './files.ts';
import { requireTool } from './tool-path.ts';

export interface CommandResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

export type CommandOptions = ChildOptions;

export interface ProgramOptions extends ChildOptions {
  args?: string[];
  /** The whole environment of the child. */
  env: Record<string, string | undefined>;
}

/**
 * Runs a tool such as `ip` to its end, in the netns of the calling thread. A non-zero exit is returned,
 * not thrown. Throws CniError 100 when the tool is missing, takes longer than `timeoutMs`, prints more
 * than 64 MiB, or dies of a signal. Its environment is PATH and LC_ALL=C and nothing else.
 */
export const runCommand = (tool: string, args: string[], options: CommandOptions = {}): CommandResult => {
  const argv = [requireTool(tool), ...args];
  return ended(argv, spawnSync(argv, toolSetup(), options), options);
};

/**
 * Runs another CNI plugin, given by its path, in our working directory, and copies what it wrote to
 * stderr to ours, as it is meant for the runtime's log. Throws as `runCommand` does.
 */
export const runProgram = (path: string, { args = [], env, ...options }: ProgramOptions): CommandResult => {
  const argv = [path, ...args];
  const child = spawnSync(argv, { env }, options);
  copyToStderr(child.stderr);
  return ended(argv, child, options);
};

/** The CniError 100 for a tool that ended with a non-zero exit code; `context` says what was attempted. */
export const commandFailure = (
  tool: string,
  args: string[],
  result: CommandResult,
  context?: string,
): CniError => exitFailure([tool, ...args], result, context);

const spawnSync = (argv: string[], setup: ChildSetup, options: CommandOptions) => {
  try {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    return Bun.spawnSync(argv, { ...spawnOptions(options), timeout: timeoutMs, ...setup });
  } catch (error) {
    throw startFailure(argv, error);
  }
};

const ended = (
  argv: string[],
  child: ReturnType<typeof spawnSync>,
  options: CommandOptions,
): CommandResult => {
  const { exitCode, stdout, stderr } = child;
  if (exitCode !== null) return { stdout: stdout.toString(), stderr: stderr.toString(), exitCode };
  const limit = child.exitedDueToTimeout ? 'timeout' : child.exitedDueToMaxBuffer ? 'output' : undefined;
  throw killed(argv, child.pid, limit ?? child.signalCode, options);
};

const copyToStderr = (bytes: Uint8Array): void => {
  try {
    if (bytes.length > 0) writeSync(2, bytes);
  } catch {
    // A closed or full stderr must not fail the call.
  }
};
