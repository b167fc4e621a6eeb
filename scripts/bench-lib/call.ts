import type { JsonObject } from '../../shared/cni/types.ts';
import { reapOrphans } from './orphans.ts';
import type { Cost } from './protocol.ts';
import type { Verb } from './scenarios.ts';

/** One plugin call as a runtime makes it. */
export interface PluginCall {
  verb: Verb;
  /** Absolute path of the plugin. */
  program: string;
  /** CNI_PATH. */
  bin: string;
  containerId: string;
  netns: string;
  config: JsonObject;
  /** An error object counts as an end like any other. */
  mayFail?: boolean;
}

export interface CallResult {
  cost: Cost;
  stdout: string;
}

/** Puts words before the plugin's, to look at it with another program. */
export type Wrap = readonly string[];

/** Makes a call; throws with the plugin's own words when it fails. */
export const callPlugin = async (call: PluginCall, wrap: Wrap = []): Promise<CallResult> => {
  const stdin = new TextEncoder().encode(JSON.stringify(call.config));
  const result = await timedRun([...wrap, call.program], environment(call), stdin);
  if (result.exitCode !== 0 && call.mayFail !== true) {
    throw new Error(
      `${call.verb} by ${call.program} exited with ${result.exitCode}: ${result.stdout}${result.stderr}`,
    );
  }
  return result;
};

/** Runs a program to its end and measures it. */
export const timedRun = async (
  command: string[],
  env: Record<string, string>,
  stdin: Uint8Array,
): Promise<CallResult & { exitCode: number; stderr: string }> => {
  const started = Bun.nanoseconds();
  const child = Bun.spawn({ cmd: command, env, stdin, stdout: 'pipe', stderr: 'pipe' });
  const [exitCode, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const wallMs = (Bun.nanoseconds() - started) / 1e6;
  const cpuMs = Number(child.resourceUsage()?.cpuTime.total ?? 0n) / 1e3;
  return { cost: { wallMs, cpuMs }, stdout, stderr, exitCode };
};

/**
 * As callPlugin, for calls that are made one at a time: afterwards waits for what the plugin left running, so
 * that it does not slow the next call, and adds its CPU time.
 */
export const callAlone = async (call: PluginCall, wrap: Wrap = []): Promise<CallResult> => {
  const result = await callPlugin(call, wrap);
  const lateCpuMs = await reapOrphans();
  return { ...result, cost: { ...result.cost, cpuMs: result.cost.cpuMs + lateCpuMs } };
};

const environment = (call: PluginCall): Record<string, string> => ({
  CNI_COMMAND: call.verb,
  CNI_PATH: call.bin,
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  ...(call.verb === 'STATUS'
    ? {}
    : { CNI_CONTAINERID: call.containerId, CNI_NETNS: call.netns, CNI_IFNAME: interfaceName(call.program) }),
});

const interfaceName = (program: string): string => (program.endsWith('/loopback') ? 'lo' : 'eth0');
