import { existsSync, readFileSync, rmSync } from 'node:fs';
import { type CallResult, callAlone, type PluginCall } from './call.ts';

const time = '/usr/bin/time';
const strace = '/usr/bin/strace';

/**
 * Makes a call and tells the memory of the largest process in it, in megabytes. GNU time, because Bun's own
 * `maxRSS` includes the memory of the process that forked.
 */
export const peakOf = async (call: PluginCall): Promise<CallResult & { peakMB: number }> => {
  const report = `/run/footprint.${call.verb}`;
  const result = await callAlone(call, [time, '--format=%M', '--quiet', `--output=${report}`]);
  const peakMB = (Number(readFileSync(report, 'utf8')) * 1024) / 1e6;
  rmSync(report);
  return { ...result, peakMB };
};

/** Makes a call and tells how many programs it executed beside the plugin; undefined without strace. */
export const childrenOf = async (call: PluginCall): Promise<CallResult & { children?: number }> => {
  if (!existsSync(strace)) return callAlone(call);
  const report = `/run/footprint.${call.verb}`;
  const result = await callAlone(call, [strace, '-f', '-qq', '-e', 'trace=execve', '-o', report]);
  const children = countExecutions(readFileSync(report, 'utf8')) - 1;
  rmSync(report);
  return { ...result, children };
};

/** The successful executions in the output of `strace -f -e trace=execve`. */
export const countExecutions = (trace: string): number =>
  trace.split('\n').filter((line) => /execve\(?.* = 0$/.test(line)).length;
