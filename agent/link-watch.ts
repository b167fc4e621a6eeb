import { searchPath, toolPath } from '../shared/kernel/tool-path.ts';
import type { Backoff } from './backoff.ts';
import type { Log } from './log.ts';
import { pause } from './pause.ts';

/**
 * Tells of every change of a device or of its addresses, until `signal` is aborted: with the device's name,
 * or with undefined when some may have been missed. By `ip monitor`, which is started again when it ends.
 */
export const watchLinks = async (
  onChange: (device: string | undefined) => void,
  { log, backoff, signal }: { log: Log; backoff: Backoff; signal: AbortSignal },
): Promise<void> => {
  for (let first = true; !signal.aborted; first = false) {
    if (!first) {
      await pause(backoff.next(), signal);
      if (signal.aborted) return;
      onChange(undefined);
    }
    const end = await monitorOnce((device) => {
      backoff.reset();
      onChange(device);
    }, signal);
    if (!signal.aborted) log.warn({ end }, 'ip monitor ended; it is started again');
  }
};

/** The device of a line that `ip -o monitor link address` prints; undefined where there is none. */
export const deviceOfLine = (line: string): string | undefined =>
  /^(?:Deleted )?\d+: ([^\s:@]+)/.exec(line)?.[1];

/** Until the child ends or `signal` is aborted; returns how it ended. */
const monitorOnce = async (onDevice: (device: string) => void, signal: AbortSignal): Promise<string> => {
  const tool = toolPath('ip');
  if (tool === undefined) return 'ip is not installed';
  try {
    const child = Bun.spawn([...endsWithUs(tool), tool, '-o', 'monitor', 'link', 'address'], {
      env: { PATH: searchPath(), LC_ALL: 'C' },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'ignore',
      signal,
    });
    let rest = '';
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const device of new Set(lines.map(deviceOfLine))) if (device !== undefined) onDevice(device);
    }
    return `exit code ${await child.exited}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/**
 * What makes the kernel end `ip monitor` when the agent is killed: by itself it notices only when it has to write.
 * Nothing where there is no setpriv, or one that lacks it (busybox).
 */
const endsWithUs = (tool: string): string[] => {
  const setpriv = toolPath('setpriv');
  if (setpriv === undefined) return [];
  const prefix = [setpriv, '--pdeathsig', 'KILL'];
  return Bun.spawnSync([...prefix, tool, '-V'], { stdout: 'ignore', stderr: 'ignore' }).success ? prefix : [];
};
