import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TestContext } from 'vitest';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { requireRoot, requireTool } from '../support/needs.ts';
import { type Outcome, type Running, systemPath } from '../support/process.ts';
import { createHost, type TestHost } from '../support/test-host.ts';

/** Where the tests of the command keep what they make, all of it inside the host. */
export const confDir = '/run/cli/net.d';
export const scriptDir = '/run/cli/bin';
export const cacheDir = '/run/cli/cache';
const logFile = '/run/cli/log';

/** The network of the recorders, and how the verbs are called for one container of it. */
export const pods = {
  cniVersion: '1.1.0',
  name: 'pods',
  plugins: [
    { type: 'a', capabilities: { mac: true, ips: false } },
    { type: 'b', some: { key: [1] } },
    { type: 'c' },
  ],
};
const ofBox = ['pods', 'box', '--container-id', 'box'];
export const add = ['run', 'add', ...ofBox];
export const check = ['run', 'check', ...ofBox];
export const del = ['run', 'del', ...ofBox];
export const cacheFile = `${cacheDir}/results/pods-box-eth0`;

/** A host with a pod `box` and the network `pods` of the recorders a, b and c. */
export const createRecorderHost = async (context: TestContext): Promise<TestHost> => {
  requireRoot(context);
  requireTool(context, 'jq');
  expectPlugins(podwireBin, 'podwire');
  const host = await createHost({ name: 'cli' });
  await host.addPod('box');
  for (const [index, type] of ['a', 'b', 'c'].entries()) writeRecorder(host, type, index + 1);
  writeNetwork(host, pods);
  return host;
};

export interface CliCall {
  /** Directories of plugins; the recorder's alone unless given. */
  binDirs?: string[];
  env?: Record<string, string>;
}

/** Starts the compiled command; `run` gets the directories above besides its own arguments. */
export const startPodwire = (host: TestHost, args: string[], call: CliCall = {}): Running => {
  const directories = ['--conf-dir', confDir, '--cache-dir', cacheDir];
  for (const directory of call.binDirs ?? [scriptDir]) directories.push('--bin-dir', directory);
  const argv = [`${podwireBin}/podwire`, ...args, ...(args[0] === 'run' ? directories : [])];
  return host.start(argv, { env: { PATH: systemPath, ...call.env } });
};

/** As `startPodwire`, to its end. */
export const podwire = (host: TestHost, args: string[], call: CliCall = {}): Promise<Outcome> =>
  startPodwire(host, args, call).outcome;

/** Writes a file of the host; an object as JSON. */
export const writeFile = (host: TestHost, path: string, content: string | object, mode = 0o644): void => {
  const outside = host.path(path);
  mkdirSync(dirname(outside), { recursive: true });
  writeFileSync(outside, typeof content === 'string' ? content : JSON.stringify(content));
  chmodSync(outside, mode);
};

export const writeNetwork = (host: TestHost, network: object | string, file = 'net.conflist'): void =>
  writeFile(host, `${confDir}/${file}`, network);

export const readHostFile = (host: TestHost, path: string): string => readFileSync(host.path(path), 'utf8');

export const hostHas = (host: TestHost, path: string): boolean => existsSync(host.path(path));

/** What a recorder was called with. */
export interface Recorded {
  type: string;
  env: Record<string, string>;
  stdin: Record<string, unknown>;
}

/**
 * A plugin that notes how it was called and, for ADD, answers with its prevResult and a route of its
 * own to 10.0.`mark`.0/24. `body` runs first, in the shell, and may `exit`.
 */
export const writeRecorder = (host: TestHost, type: string, mark: number, body = ''): void => {
  const script = `#!/bin/sh
stdin=$(cat)
{ echo "${type}"; env | grep ^CNI_ | tr '\\n' '\\t'; echo; printf '%s\\n' "$stdin"; } >>${logFile}
${body}
[ "$CNI_COMMAND" != ADD ] || printf '%s' "$stdin" |
  jq -c '(.prevResult // {cniVersion}) + {routes: ((.prevResult.routes // []) + [{dst: "10.0.${mark}.0/24"}])}'
`;
  writeFile(host, `${scriptDir}/${type}`, script, 0o755);
};

/** All calls of recorders so far, in order. */
export const recorded = (host: TestHost): Recorded[] => {
  if (!hostHas(host, logFile)) return [];
  const lines = readHostFile(host, logFile).trimEnd().split('\n');
  const calls: Recorded[] = [];
  for (let index = 0; index + 2 < lines.length; index += 3) {
    const [type = '', env = '', stdin = ''] = lines.slice(index, index + 3);
    const pairs = env.split('\t').map((pair) => pair.split(/=(.*)/s) as [string, string]);
    calls.push({ type, env: Object.fromEntries(pairs), stdin: JSON.parse(stdin) });
  }
  return calls;
};

/** The calls as `ADD a`. */
export const callOrder = (host: TestHost): string[] =>
  recorded(host).map(({ type, env }) => `${env.CNI_COMMAND} ${type}`);
