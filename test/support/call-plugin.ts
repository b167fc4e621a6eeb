import type { Command } from '../../shared/cni/plugin.ts';
import type { Dns, Interface, IpConfig, Route } from '../../shared/cni/types.ts';
import { Pod } from './pod.ts';
import { type Outcome, type RunOptions, systemPath } from './process.ts';
import type { TestHost } from './test-host.ts';

export interface PluginCall extends Omit<RunOptions, 'env'> {
  binDir: string;
  plugin: string;
  command: Command | (string & {});
  containerId?: string;
  /** A pod, or any text for CNI_NETNS. */
  netns?: Pod | string;
  /** CNI_IFNAME; `eth0` unless given, for every verb that has one. */
  ifname?: string;
  /** CNI_ARGS: `K=V;K2=V2`. */
  args?: string;
  /** The network configuration, sent as JSON; `stdin` sends any bytes instead. */
  config?: object;
  /** Directories of CNI_PATH; binDir alone unless given. */
  path?: string[];
  /** Added to the environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
}

/** A result as it was printed, in any spec version. */
export interface PrintedResult {
  cniVersion: string;
  interfaces?: Interface[];
  ips?: (IpConfig & { version?: '4' | '6' })[];
  routes?: Route[];
  dns?: Dns;
  ip4?: { ip: string; gateway?: string; routes?: Route[] };
  ip6?: { ip: string; gateway?: string; routes?: Route[] };
  supportedVersions?: string[];
}

export interface PrintedError {
  cniVersion?: string;
  code: number;
  msg: string;
  details?: string;
}

export interface PluginOutcome extends Outcome {
  /** What was printed by a call that succeeded and printed a JSON object. */
  result: PrintedResult | undefined;
  /** What was printed by a call that failed and printed a JSON object. */
  error: PrintedError | undefined;
}

export interface RunningPlugin {
  /** The plugin's own pid (on a host with a PID namespace: that of the `nsenter` before it). */
  pid: number;
  kill(signal?: NodeJS.Signals): void;
  outcome: Promise<PluginOutcome>;
}

/** Calls a plugin as a runtime does. Asserts nothing: the caller looks at the outcome. */
export const callPlugin = (host: TestHost, call: PluginCall): Promise<PluginOutcome> =>
  startPlugin(host, call).outcome;

/** Starts a call and leaves it running, for tests that signal it or run many at once. */
export const startPlugin = (host: TestHost, call: PluginCall): RunningPlugin => {
  const { stdin = call.config === undefined ? '' : JSON.stringify(call.config) } = call;
  const argv = [`${call.binDir}/${call.plugin}`];
  const running = host.start(argv, { ...call, stdin, env: environment(call) });
  return { ...running, outcome: running.outcome.then(withOutput) };
};

/** The result of a call; throws with the plugin's error when it failed. */
export const expectResult = (outcome: PluginOutcome): PrintedResult => {
  if (outcome.exitCode === 0 && outcome.result !== undefined) return outcome.result;
  throw new Error(describeOutcome(outcome));
};

/** For DEL, CHECK, GC and STATUS, which print nothing: throws with the plugin's error when it failed. */
export const expectDone = (outcome: PluginOutcome): void => {
  if (outcome.exitCode !== 0) throw new Error(describeOutcome(outcome));
};

/** A container id that no other test of this run or a parallel one uses. */
export const newContainerId = (label = 'pod'): string => {
  counter += 1;
  return `${label}-${process.pid.toString(36)}-${crypto.randomUUID().slice(0, 8)}-${counter}`;
};

let counter = 0;

const environment = (call: PluginCall): Record<string, string> => {
  const { command, containerId, netns, ifname, args, path = [call.binDir] } = call;
  const perContainer = command === 'ADD' || command === 'DEL' || command === 'CHECK';
  const variables: Record<string, string | undefined> = {
    PATH: systemPath,
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns instanceof Pod ? netns.netns : netns,
    CNI_IFNAME: ifname ?? (perContainer ? 'eth0' : undefined),
    CNI_ARGS: args,
    CNI_PATH: path.join(':'),
    ...call.env,
  };
  return Object.fromEntries(Object.entries(variables).filter((entry) => entry[1] !== undefined)) as Record<
    string,
    string
  >;
};

const withOutput = (outcome: Outcome): PluginOutcome => {
  const printed = parseObject(outcome.stdout);
  const succeeded = outcome.exitCode === 0;
  return {
    ...outcome,
    result: succeeded ? (printed as PrintedResult | undefined) : undefined,
    error: succeeded ? undefined : (printed as PrintedError | undefined),
  };
};

const parseObject = (text: string): object | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

const describeOutcome = ({ argv, exitCode, signal, timedOut, stdout, stderr }: PluginOutcome): string =>
  `${argv.join(' ')}: exit ${exitCode ?? signal}${timedOut ? ' (timeout)' : ''}\n${stdout}${stderr}`.trimEnd();
