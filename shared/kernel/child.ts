import type { CniError } from '../cni/errors.ts';
import { type ChildEnd, killedFailure } from './child-failure.ts';
import { searchPath } from './tool-path.ts';

/** What can be chosen for a child process. */
export interface ChildOptions {
  /** What the child reads; without it, its stdin is empty. */
  stdin?: string | Uint8Array;
  /** Milliseconds until the child is killed; 20,000 when absent. */
  timeoutMs?: number;
}

/** Environment and working directory of a child. */
export interface ChildSetup {
  env: Record<string, string | undefined>;
  cwd?: string;
}

/** Milliseconds. */
export const DEFAULT_TIMEOUT_MS = 20_000;

/** Bytes; far above any dump we ask for: only a tool gone wild prints that much. */
export const OUTPUT_LIMIT = 64 * 1024 * 1024;

/** That of the tools we drive: in `/`, because a spawn fails when our working directory was deleted. */
export const toolSetup = (): ChildSetup => ({ env: { PATH: searchPath(), LC_ALL: 'C' }, cwd: '/' });

/**
 * What every child has in common, for Bun.spawn and Bun.spawnSync. It leads a session of its own
 * (`detached`): a Ctrl-C meant for us does not stop it half-way, and its whole process group can be
 * killed. It inherits none of our descriptors: a runtime waits for the end of our stdout and stderr.
 */
export const spawnOptions = ({ stdin = '' }: ChildOptions) =>
  ({
    stdin:
      stdin.length === 0 ? 'ignore' : typeof stdin === 'string' ? new TextEncoder().encode(stdin) : stdin,
    stdout: 'pipe',
    stderr: 'pipe',
    detached: true,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_LIMIT,
  }) as const;

/** Cleans up after a child that did not exit by itself, and returns the CniError 100 for it. */
export const killed = (argv: string[], pid: number, end: ChildEnd, options: ChildOptions): CniError => {
  killGroup(pid);
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  return killedFailure(argv, end, { timeoutMs, outputBytes: OUTPUT_LIMIT });
};

/** Kills a child's process group: the child, and what it has started itself. */
export const killGroup = (pid: number): void => {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: nothing is left of it.
  }
};
