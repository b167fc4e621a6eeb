import { killed, spawnOptions, toolSetup } from './child.ts';
import { startFailure } from './child-failure.ts';
import type { CommandResult } from './command.ts';
import type { NftSocket } from './nft-socket.ts';
import { collectOutput } from './output-collector.ts';
import { requireTool } from './tool-path.ts';

/** A packet filter tool that runs beside us. */
export interface FilterChild {
  /**
   * Waits until `visible` is true or the child has ended, whichever is first, and returns undefined or
   * the child's result. `visible` is asked after `firstLookMs` milliseconds, then every millisecond. When
   * it is true the child is left to end on its own. Rejects with CniError 100 when it is killed or takes
   * longer than 20 s.
   */
  settled(visible: () => boolean, firstLookMs: number): Promise<CommandResult | undefined>;
}

/**
 * Starts `nft` or an `iptables` tool with `stdin`, in the netns of the calling thread, as `startCommand`
 * does, and lets it inherit our nfnetlink socket, so that the last close of that is the child's (see
 * NftSocket). Throws CniError 100 when the tool is missing or cannot be started.
 */
export const startFilterChild = (
  tool: string,
  args: string[],
  { stdin, socket }: { stdin: string; socket: NftSocket },
): FilterChild => {
  const argv = [requireTool(tool), ...args];
  const child = spawn(argv, stdin, socket.fd);
  const stdout = collectOutput(child.stdout);
  const stderr = collectOutput(child.stderr);
  const ended = (async (): Promise<CommandResult> => {
    await child.exited;
    if (child.exitCode === null) {
      throw killed(argv, child.pid, child.signalCode === 'SIGKILL' ? 'timeout' : child.signalCode, {});
    }
    await Promise.all([stdout.done, stderr.done]);
    return { stdout: stdout.text(), stderr: stderr.text(), exitCode: child.exitCode };
  })();
  // One that was left to itself may fail when nobody listens any more.
  ended.catch(() => {});
  return {
    settled: async (visible, firstLookMs) => {
      for (let pauseMs = firstLookMs; ; pauseMs = PAUSE_MS) {
        const result = await Promise.race([ended, Bun.sleep(pauseMs)]);
        if (result !== undefined) return result;
        if (visible()) break;
      }
      child.unref();
      stdout.cancel();
      stderr.cancel();
      return undefined;
    },
  };
};

const PAUSE_MS = 1;

const spawn = (argv: string[], input: string, fd: number | undefined) => {
  const { stdin, stdout, stderr, ...options } = spawnOptions({ stdin: input });
  try {
    return Bun.spawn(argv, {
      ...options,
      ...toolSetup(),
      stdio: [stdin, stdout, stderr, ...(fd === undefined ? [] : [fd])],
    });
  } catch (error) {
    throw startFailure(argv, error);
  }
};
