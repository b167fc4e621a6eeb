import type { Child, ChildOptions, CommandResult } from './child.ts';
import { startTool } from './command.ts';

/** A tool that runs beside us. */
export interface RunningCommand {
  readonly pid: number;
  /** What it has printed on stdout so far. */
  output(): string;
  /** Waits for its end. Throws what `runCommand` throws. */
  result(): Promise<CommandResult>;
  /**
   * Waits until `visible` is true or the child has ended, and returns undefined in the first case, where
   * the child is left to end on its own, and its result in the second. `visible` is asked after
   * `firstLookMs` milliseconds, at once by default, then every millisecond.
   */
  settled(visible: () => boolean, firstLookMs?: number): Promise<CommandResult | undefined>;
  /** Kills it and its descendants with SIGKILL. */
  kill(): void;
}

export interface RunningOptions extends ChildOptions {
  /** A descriptor of ours that the child gets as its number 3. */
  inherit?: number | undefined;
}

/**
 * Starts a tool without waiting for it, in the netns of the calling thread, so that two can run at
 * once, and so that a caller need not sit out the 15 ms grace period which the kernel makes `ip link
 * del` and `nft` wait when what they did is long visible. Environment and errors are those of
 * `runCommand`; a missing tool is thrown here, at once.
 */
export const startCommand = (tool: string, args: string[], options: RunningOptions = {}): RunningCommand => {
  const child: Child = startTool(tool, args, options.inherit);
  child.feed(options);
  const settled = async (visible: () => boolean, firstLookMs = 0): Promise<CommandResult | undefined> => {
    for (let pauseMs = firstLookMs; ; pauseMs = PAUSE_MS) {
      if (pauseMs > 0) await Bun.sleep(pauseMs);
      const result = child.poll(0);
      if (result !== undefined) return result;
      if (visible()) break;
    }
    child.release();
    return undefined;
  };
  return {
    pid: child.pid,
    output: () => child.output(),
    result: async () => {
      for (;;) {
        const result = await settled(() => false);
        if (result !== undefined) return result;
      }
    },
    settled,
    kill: () => child.kill(),
  };
};

const PAUSE_MS = 1;
