import { DEFAULT_TIMEOUT_MS, killed, killGroup, OUTPUT_LIMIT, spawnOptions, toolSetup } from './child.ts';
import { startFailure } from './child-failure.ts';
import type { CommandOptions, CommandResult } from './command.ts';
import { collectOutput, type OutputCollector } from './output-collector.ts';
import { requireTool } from './tool-path.ts';

/** A tool that runs beside us. */
export interface RunningCommand {
  readonly pid: number;
  /** When it has ended; rejects with what `runCommand` throws. */
  readonly result: Promise<CommandResult>;
  /** What it has printed on stdout so far. */
  output(): string;
  /**
   * Waits until `visible` is true (asked at once, then every millisecond) or the child has ended, and
   * returns its result in the second case, undefined in the first; the child is then released.
   */
  settled(visible: () => boolean): Promise<CommandResult | undefined>;
  /**
   * Lets the child end on its own, without keeping our process alive. It must have nothing more to
   * print: its pipes are closed.
   */
  release(): void;
  /** Kills it and its descendants with SIGKILL. */
  kill(): void;
}

/**
 * Starts a tool without waiting for it, in the netns of the calling thread, so that two can run at
 * once, and so that a caller need not sit out the 15 ms grace period which the kernel makes `ip link
 * del` and `nft` wait when what they did is long visible. Options, environment and errors are those of
 * `runCommand`; a missing tool is thrown here, at once.
 */
export const startCommand = (tool: string, args: string[], options: CommandOptions = {}): RunningCommand => {
  const argv = [requireTool(tool), ...args];
  const child = spawn(argv, options);
  const stdout = collectOutput(child.stdout);
  const stderr = collectOutput(child.stderr);
  const kill = (): void => killGroup(child.pid);
  // Bun's own timeout would keep our process alive after a release.
  let timedOut = false;
  const timeout = setTimeout(() => {
    timedOut = true;
    kill();
  }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const finish = async (): Promise<CommandResult> => {
    await child.exited;
    clearTimeout(timeout);
    if (child.exitCode === null) {
      const tooMuch = Math.max(stdout.size(), stderr.size()) > OUTPUT_LIMIT;
      const end = timedOut ? 'timeout' : tooMuch ? 'output' : child.signalCode;
      throw killed(argv, child.pid, end, options);
    }
    await drain(stdout, stderr);
    return { stdout: stdout.text(), stderr: stderr.text(), exitCode: child.exitCode };
  };
  const result = finish();
  // A released child may fail when nobody listens any more.
  result.catch(() => {});
  const release = (): void => {
    child.unref();
    timeout.unref();
    stdout.cancel();
    stderr.cancel();
  };
  const settled = async (visible: () => boolean): Promise<CommandResult | undefined> => {
    while (!visible()) {
      const outcome = await Promise.race([result, Bun.sleep(POLL_MS)]);
      if (outcome !== undefined) return outcome;
    }
    release();
    return undefined;
  };
  return { pid: child.pid, result, output: stdout.text, settled, release, kill };
};

const POLL_MS = 1;

/** How long the output of an ended child is awaited when a descendant holds its pipes open. */
const DRAIN_MS = 200;

const spawn = (argv: string[], options: CommandOptions) => {
  try {
    return Bun.spawn(argv, { ...spawnOptions(options), ...toolSetup() });
  } catch (error) {
    throw startFailure(argv, error);
  }
};

const drain = async (...collectors: OutputCollector[]): Promise<void> => {
  let timer: Timer | undefined;
  const giveUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, DRAIN_MS);
  });
  await Promise.race([Promise.all(collectors.map(({ done }) => done)), giveUp]);
  clearTimeout(timer);
  for (const collector of collectors) collector.cancel();
};
