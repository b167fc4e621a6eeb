import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { parseCapabilityJson } from './capability-flags.ts';

type Variables = Record<string, string | undefined>;

/** Where things are, by flag, else by environment variable, else by default. */
export interface Places {
  confDir: string;
  binDirs: string[];
  cacheDir: string;
}

/**
 * The directories to work with. Plugins are searched in `--bin-dir`, else CNI_PATH, else beside this
 * executable when plugins are there (`besideExecutable`) and in /opt/cni/bin. An empty variable counts
 * as unset.
 */
export const places = (
  flags: { confDir?: string; binDir?: string[]; cacheDir?: string },
  env: Variables,
  besideExecutable: string | undefined,
): Places => ({
  confDir: flags.confDir ?? (env.NETCONFPATH || '/etc/cni/net.d'),
  binDirs:
    flags.binDir ??
    (env.CNI_PATH
      ? splitPath(env.CNI_PATH)
      : [besideExecutable, '/opt/cni/bin'].filter((directory) => directory !== undefined)),
  cacheDir: flags.cacheDir ?? '/var/lib/cni',
});

export const splitPath = (text: string): string[] => text.split(':').filter((directory) => directory !== '');

/** `K=V;K2=V2`. Throws an Error that says what is expected. */
export const parseArgs = (text: string): [string, string][] =>
  text.split(';').map((pair) => {
    const [key, value, ...more] = pair.split('=');
    if (!key || !value || more.length > 0) {
      throw new Error(`It must be KEY=VALUE pairs joined by ";", but "${pair}" is none.`);
    }
    return [key, value];
  });

/** A number of seconds, or of `ms`, `s`, `m`. Returns milliseconds; throws an Error. */
export const parseDuration = (text: string): number => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  const milliseconds =
    Number(match?.[1]) * { ms: 1, s: 1000, m: 60_000 }[(match?.[2] ?? 's') as 'ms' | 's' | 'm'];
  if (!(milliseconds > 0 && milliseconds < 2 ** 31)) {
    throw new Error('It must be a time such as 30, 30s, 500ms or 2m.');
  }
  return milliseconds;
};

/** `CONTAINERID:IFNAME`. Throws an Error. */
export const parseKept = (text: string): { containerID: string; ifname: string } => {
  const match = /^(.+):([^:]+)$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new Error('It must be CONTAINERID:IFNAME, such as abc:eth0.');
  }
  return { containerID: match[1], ifname: match[2] };
};

/** CNI_ARGS of the runtime's own environment; undefined when unset. Throws CniError 4. */
export const argsFrom = (env: Variables): [string, string][] | undefined =>
  fromVariable('CNI_ARGS', env, parseArgs);

/** CAP_ARGS, as cnitool has it; undefined when unset. Throws CniError 4. */
export const capabilityJsonFrom = (env: Variables): JsonObject | undefined =>
  fromVariable('CAP_ARGS', env, parseCapabilityJson);

const fromVariable = <T>(name: string, env: Variables, parse: (text: string) => T): T | undefined => {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  try {
    return parse(text);
  } catch (error) {
    throw new CniError(ErrorCode.invalidEnvironment, `the environment variable ${name} is invalid`, {
      details: (error as Error).message,
    });
  }
};
