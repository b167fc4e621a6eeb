import type { CniError } from '../cni/errors.ts';
import { Child, type ChildOptions, type CommandResult } from './child.ts';
import { exitFailure } from './child-failure.ts';
import { writeSync } from './files.ts';
import { requireTool, searchPath } from './tool-path.ts';

export type { CommandResult } from './child.ts';

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
export const runCommand = (tool: string, args: string[], options: ChildOptions = {}): CommandResult => {
  const child = startTool(tool, args);
  child.feed(options);
  return child.wait();
};

/**
 * Starts a tool that waits for its input (`feed`), so that its start-up goes on beside our own work. It
 * inherits the descriptor `inherit`, if any, as its number 3. Throws CniError 100 when it is missing.
 */
export const startTool = (tool: string, args: string[], inherit?: number): Child =>
  new Child([requireTool(tool), ...args], {
    env: { PATH: searchPath(), LC_ALL: 'C' },
    inherit: [inherit, toolsLock],
  });

/**
 * From now on all tools inherit this descriptor, as their number 4, or none: a lock on what they change,
 * which outlives us with them (see `attachment-lock.ts`). Other plugins never get it: one may leave a
 * daemon behind.
 */
export const giveToTools = (lock: number | undefined): void => {
  toolsLock = lock;
};

let toolsLock: number | undefined;

/**
 * Runs another CNI plugin, given by its path, in our working directory, and copies what it wrote to
 * stderr to ours, as it is meant for the runtime's log. Throws as `runCommand` does.
 */
export const runProgram = (path: string, { args = [], env, ...options }: ProgramOptions): CommandResult => {
  const child = new Child([path, ...args], { env });
  child.feed(options);
  const result = child.wait();
  copyToStderr(result.stderr);
  return result;
};

/** The CniError 100 for a tool that ended with a non-zero exit code; `context` says what was attempted. */
export const commandFailure = (
  tool: string,
  args: string[],
  result: CommandResult,
  context?: string,
): CniError => exitFailure([tool, ...args], result, context);

const copyToStderr = (text: string): void => {
  try {
    if (text !== '') writeSync(2, new TextEncoder().encode(text));
  } catch {
    // A closed or full stderr must not fail the call.
  }
};
