import { CniError, ErrorCode } from './errors.ts';
import { show } from './fields.ts';
import type { Command, Environment } from './plugin.ts';

type Variables = Record<string, string | undefined>;

/** What each verb must be told (SPEC.md, "CNI operations"). CNI_PATH is asked for where a delegate is looked up. */
const requiredBy: Record<Command, readonly string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  GC: ['CNI_PATH'],
  STATUS: [],
  VERSION: [],
};

const containerIdPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/**
 * The call's environment, validated. `knownArgs` are the CNI_ARGS keys the plugin understands:
 * others are an error unless IgnoreUnknown is set; undefined leaves the keys alone.
 * Throws CniError 4 that names every variable at fault.
 */
export const parseEnvironment = (variables: Variables, knownArgs?: readonly string[]): Environment => {
  const command = parseCommand(variables.CNI_COMMAND ?? '');
  const missing = requiredBy[command].filter((name) => (variables[name] ?? '') === '');
  if (missing.length > 0) {
    throw invalid(
      `required environment variables are missing: ${missing.join(', ')}`,
      `${command} needs them set and not empty.`,
    );
  }
  const containerId = variables.CNI_CONTAINERID ?? '';
  const ifname = variables.CNI_IFNAME ?? '';
  if (requiredBy[command].includes('CNI_CONTAINERID')) {
    checkContainerId(containerId);
    checkIfname(ifname);
  }
  return {
    command,
    containerId,
    ifname,
    netns: variables.CNI_NETNS ?? '',
    args: checksArgs(command) ? parseArgs(variables.CNI_ARGS ?? '', knownArgs) : new Map(),
    path: (variables.CNI_PATH ?? '').split(':').filter((directory) => directory !== ''),
    netnsOverride: isTrue(variables.CNI_NETNS_OVERRIDE),
  };
};

/** DEL must go through with the very CNI_ARGS that ADD was refused for; it, GC and STATUS need none. */
const checksArgs = (command: Command): boolean => command === 'ADD' || command === 'CHECK';

const parseCommand = (text: string): Command => {
  if (Object.hasOwn(requiredBy, text)) return text as Command;
  throw invalid(
    `unknown CNI_COMMAND: ${show(text)}`,
    `CNI_COMMAND must be one of ${Object.keys(requiredBy).join(', ')}.`,
  );
};

const checkContainerId = (id: string): void => {
  if (!containerIdPattern.test(id)) {
    throw invalid(
      `invalid CNI_CONTAINERID: ${show(id)}`,
      'It must start with a letter or digit and hold only letters, digits, "_", "." and "-".',
    );
  }
};

/**
 * The kernel's dev_valid_name: at most 15 bytes, not "." or "..", no "/", ":" or white space; and no "%",
 * which it takes for a pattern to be numbered: "eth%d" would make "eth0".
 */
const checkIfname = (name: string): void => {
  const problem =
    new TextEncoder().encode(name).length > 15
      ? 'it is longer than 15 bytes'
      : name === '.' || name === '..'
        ? 'it is a directory name'
        : /[/:%\s]/.test(name)
          ? 'it holds "/", ":", "%" or white space'
          : undefined;
  if (problem !== undefined) {
    throw invalid(`invalid CNI_IFNAME: ${show(name)}`, `An interface name can't be this: ${problem}.`);
  }
};

/** CNI_ARGS: `K=V;K2=V2`, exactly one "=" in each pair, keys case-sensitive. */
const parseArgs = (text: string, knownArgs: readonly string[] | undefined): Map<string, string> => {
  const args = new Map<string, string>();
  if (text === '') return args;
  for (const pair of text.split(';')) {
    const [key, value, ...rest] = pair.split('=');
    if (key === undefined || key === '' || value === undefined || rest.length > 0) {
      throw invalid(
        `invalid CNI_ARGS: ${show(pair)} is not a KEY=VALUE pair`,
        'Write CNI_ARGS as K=V;K2=V2.',
      );
    }
    args.set(key, value);
  }
  if (knownArgs === undefined || isTrue(args.get('IgnoreUnknown'))) return args;
  const unknown = [...args.keys()].filter((key) => key !== 'IgnoreUnknown' && !knownArgs.includes(key));
  if (unknown.length > 0) {
    throw invalid(
      `unknown keys in CNI_ARGS: ${unknown.join(', ')}`,
      `This plugin knows ${knownArgs.join(', ')}; add IgnoreUnknown=1 to let others pass.`,
    );
  }
  return args;
};

const isTrue = (text: string | undefined): boolean => text === '1' || text?.toLowerCase() === 'true';

const invalid = (message: string, details: string): CniError =>
  new CniError(ErrorCode.invalidEnvironment, message, { details });
