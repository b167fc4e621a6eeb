import { type CommandResult, runProgram } from '../kernel/command.ts';
import { constants, isAccessible, statSync } from '../kernel/files.ts';
import { validAttachments } from './config.ts';
import { parseEnvironment } from './environment.ts';
import { CniError, ErrorCode, toCniError } from './errors.ts';
import { show } from './fields.ts';
import type { Call, Command, Plugin } from './plugin.ts';
import { parseJsonOutput, parseResult } from './result-versions.ts';
import type { JsonObject, Result } from './types.ts';

/**
 * A delegate has to answer within this many ms, or what PODWIRE_DELEGATE_TIMEOUT_MS says instead; the DHCP
 * plugin is the slowest known, at about a minute.
 */
const defaultTimeoutMs = 90_000;

/**
 * Calls the plugin `type` found on CNI_PATH with our environment and the whole configuration
 * (SPEC.md, "Delegated plugins"), and returns its ADD result. When the file found is this very
 * executable, its code runs in this process: nobody can tell, and a process start is saved.
 * Throws the delegate's own error, or CniError 101 when it gave none.
 */
export const delegateAdd = async (call: Call, type: string): Promise<Result> => {
  const target = await findDelegate(call, type);
  if (target.plugin !== undefined) return target.plugin.add(inProcess(call, 'ADD', target.plugin));
  const output = execute(call, 'ADD', type, target.path);
  const json = parseJsonOutput(output);
  if (json === undefined) throw failed(type, `printed no result: ${show(output.trim())}`);
  try {
    return parseResult(json, call.config.cniVersion);
  } catch (error) {
    throw failed(type, `printed an invalid result: ${(error as Error).message}`, error);
  }
};

/** Passes DEL, CHECK, GC or STATUS on to the delegate; throws as `delegateAdd` does. */
export const delegateVerb = async (
  call: Call,
  command: 'DEL' | 'CHECK' | 'GC' | 'STATUS',
  type: string,
): Promise<void> => {
  const target = await findDelegate(call, type);
  if (target.plugin === undefined) {
    execute(call, command, type, target.path);
    return;
  }
  const inner = inProcess(call, command, target.plugin);
  if (command === 'DEL') await target.plugin.del(inner);
  else if (command === 'CHECK') await target.plugin.check(inner);
  else if (command === 'STATUS') await target.plugin.status(inner);
  else await target.plugin.gc(inner, validAttachments(call.config.json));
};

interface Target {
  path: string;
  plugin: Plugin | undefined;
}

const findDelegate = async (call: Call, type: string): Promise<Target> => {
  if (/[/\0]/.test(type)) throw failed(type, 'is no plugin name: it holds a "/" or a NUL');
  if (call.isDelegated || process.env[delegatedVariable] === type) throw circular(type);
  for (const directory of call.env.path) {
    const path = `${directory}/${type}`;
    if (!isExecutable(path)) continue;
    return { path, plugin: isThisExecutable(path) ? call.findBuiltin(type) : undefined };
  }
  throw failed(
    type,
    `was not found in CNI_PATH ${show(call.env.path)}`,
    undefined,
    'Install it there, or correct the "type".',
  );
};

/** The call as the delegate's own process would see it: same stdin, same variables, its own checks. */
const inProcess = (call: Call, command: Command, plugin: Plugin): Call => ({
  ...call,
  env: parseEnvironment({ ...process.env, CNI_COMMAND: command }, plugin.knownArgs),
  isDelegated: true,
});

/** Tells a delegate of ours which `ipam.type` it was called for. */
const delegatedVariable = 'PODWIRE_DELEGATED';

/** Whether a plugin of ours called this process, or one that it called, as its IPAM plugin. */
export const isDelegatedProcess = (): boolean => process.env[delegatedVariable] !== undefined;

const execute = (call: Call, command: Command, type: string, path: string): string => {
  const { stdout, stderr, exitCode } = runToEnd(call, command, type, path);
  if (exitCode === 0) return stdout;
  const json = parseJsonOutput(stdout);
  if (typeof json?.code === 'number' && json.code > 0) throw reported(type, json, json.code);
  throw failed(
    type,
    `ended with exit code ${exitCode}: ${show((stdout.trim() || stderr.trim()).slice(0, 400))}`,
  );
};

const runToEnd = (call: Call, command: Command, type: string, path: string): CommandResult => {
  try {
    return runProgram(path, {
      env: { ...process.env, CNI_COMMAND: command, [delegatedVariable]: type },
      stdin: call.stdin,
      timeoutMs: delegateTimeoutMs(),
    });
  } catch (error) {
    // It could not be started, was killed, or took too long.
    const { message, details } = toCniError(error);
    throw failed(type, `failed: ${message}`, error, details);
  }
};

const delegateTimeoutMs = (): number => {
  const given = Number(process.env.PODWIRE_DELEGATE_TIMEOUT_MS);
  return given > 0 ? given : defaultTimeoutMs;
};

/** The delegate's own error keeps its code and message; who reported it goes into the details. */
const reported = (type: string, json: JsonObject, code: number): CniError => {
  const details = typeof json.details === 'string' && json.details !== '' ? `${json.details} ` : '';
  return new CniError(code, typeof json.msg === 'string' ? json.msg : `plugin "${type}" failed`, {
    details: `${details}(reported by the delegated plugin "${type}")`,
  });
};

const failed = (type: string, problem: string, cause?: unknown, details?: string): CniError =>
  new CniError(ErrorCode.delegateFailed, `delegated plugin ${show(type)} ${problem}`, {
    details: details ?? 'See the log of that plugin.',
    cause,
  });

/**
 * A delegate gets our configuration, so one that delegates itself would look up the same "ipam.type" and
 * call itself without end: as happens when that key names a network plugin.
 */
const circular = (type: string): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    `invalid configuration: "ipam.type" is ${show(type)}, which needs an IPAM plugin itself`,
    { details: 'Name an IPAM plugin, such as "host-local".' },
  );

const isExecutable = (path: string): boolean => isAccessible(path, constants.X_OK) && statSync(path).isFile;

const isThisExecutable = (path: string): boolean => {
  const found = statSync(path);
  const own = statSync('/proc/self/exe');
  return found.dev === own.dev && found.ino === own.ino;
};
