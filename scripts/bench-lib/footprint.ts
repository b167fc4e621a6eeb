import { existsSync, readFileSync, rmSync } from 'node:fs';
import { callAlone, type PluginCall } from './call.ts';
import type { Footprint } from './protocol.ts';

const time = '/usr/bin/time';
const strace = '/usr/bin/strace';

/**
 * Makes a call of each kind under GNU time and under strace; `undo` goes between, so that both see the same
 * state. Bun's own `maxRSS` cannot be used: it includes the memory of the process that forked.
 */
export const footprintOf = async (call: PluginCall, undo: () => Promise<void>): Promise<Footprint> => {
  const report = `/run/footprint.${call.verb}`;
  await callAlone(call, [time, '--format=%M', `--output=${report}`]);
  const peakMB = (Number(readFileSync(report, 'utf8')) * 1024) / 1e6;
  rmSync(report);
  if (!existsSync(strace)) return { peakMB, children: undefined };
  await undo();
  await callAlone(call, [strace, '-f', '-qq', '-e', 'trace=execve', '-o', report]);
  const children = countExecutions(readFileSync(report, 'utf8')) - 1;
  rmSync(report);
  return { peakMB, children };
};

/** The successful executions in the output of `strace -f -e trace=execve`. */
export const countExecutions = (trace: string): number =>
  trace.split('\n').filter((line) => /execve\(?.* = 0$/.test(line)).length;
