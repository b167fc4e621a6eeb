import { statSync } from 'node:fs';
import { join } from 'node:path';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Command } from '../../shared/cni/plugin.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import type { AttachmentParameters } from './attachment.ts';
import type { Interrupts } from './interrupt.ts';
import { pluginError } from './plugin-output.ts';

/** What every call of a plugin needs to know. */
export interface InvokeSettings {
  /** Where plugins are searched, in order; also CNI_PATH. */
  binDirs: string[];
  /** Longest time for one call, in milliseconds. */
  timeoutMs: number;
  interrupts: Interrupts;
  /** Gets the plugin's stderr as it comes. */
  writeErr: (text: string) => void;
}

export interface Invocation {
  command: Command;
  type: string;
  /** Absent for GC and STATUS. */
  attachment?: AttachmentParameters | undefined;
  config: JsonObject;
}

/**
 * Runs one plugin and returns its stdout. Throws the CniError that the plugin printed; 101 when it is
 * missing, cannot be executed, failed without an error object or took too long; 106 on a signal.
 */
export const invoke = async (invocation: Invocation, settings: InvokeSettings): Promise<string> => {
  settings.interrupts.check();
  const path = findPlugin(invocation.type, settings.binDirs);
  const input = new TextEncoder().encode(JSON.stringify(invocation.config));
  const child = await spawn(path, input, environment(invocation, settings.binDirs));

  let timedOut = false;
  let killTimer: Timer | undefined;
  const terminate = (): void => {
    signalGroup(child.pid, 'SIGTERM');
    killTimer ??= setTimeout(() => signalGroup(child.pid, 'SIGKILL'), killDelayMs);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    terminate();
  }, settings.timeoutMs);
  const disarm = settings.interrupts.onInterrupt(terminate);
  try {
    const output = Promise.all([
      new Response(child.stdout).text(),
      forward(child.stderr, settings.writeErr),
      child.exited,
    ]);
    const [stdout, stderr, exitCode] = await output;
    if (timedOut) throw timeoutError(invocation, settings.timeoutMs);
    if (exitCode !== 0) {
      settings.interrupts.check();
      throw pluginError({ type: invocation.type, stdout, stderr, exitCode, signal: child.signalCode });
    }
    return stdout;
  } finally {
    clearTimeout(timer);
    clearTimeout(killTimer);
    disarm();
  }
};

/** The path of a plugin: the first regular file of that name. Throws CniError 101 naming the paths. */
export const findPlugin = (type: string, binDirs: string[]): string => {
  if (type.includes('/')) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid plugin type "${type}": it must be a file name`,
    );
  }
  const path = binDirs.map((directory) => join(directory, type)).find(isFile);
  if (path !== undefined) return path;
  throw new CniError(ErrorCode.delegateFailed, `no plugin "${type}" in ${binDirs.join(':')}`, {
    details: 'Install it there, or name its directory with --bin-dir or CNI_PATH.',
  });
};

/** Between SIGTERM, on which a plugin can undo what it did, and SIGKILL. */
const killDelayMs = 3000;

/** As libcni: a plugin that is just being replaced (ETXTBSY) is tried six times, a second apart. */
const busyAttempts = 6;
const busyDelayMs = 1000;

const spawn = async (path: string, stdin: Uint8Array, env: Record<string, string>) => {
  for (let attempt = 1; ; attempt++) {
    try {
      // `detached`: a process group of its own, so that a hanging plugin's children are killed with it.
      return Bun.spawn([path], { stdin, env, stdout: 'pipe', stderr: 'pipe', detached: true });
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === 'ETXTBSY' && attempt < busyAttempts) {
        await Bun.sleep(busyDelayMs);
        continue;
      }
      throw new CniError(ErrorCode.delegateFailed, `cannot execute ${path}: ${message}`, { cause });
    }
  }
};

/** The runtime's own environment and, over it, the parameters; those without a value are empty. */
const environment = ({ command, attachment }: Invocation, binDirs: string[]): Record<string, string> => ({
  ...(process.env as Record<string, string>),
  CNI_COMMAND: command,
  CNI_CONTAINERID: attachment?.containerId ?? '',
  CNI_NETNS: attachment?.netns ?? '',
  CNI_ARGS: (attachment?.args ?? []).map((pair) => pair.join('=')).join(';'),
  CNI_IFNAME: attachment?.ifname ?? '',
  CNI_PATH: binDirs.join(':'),
});

const forward = async (
  stream: ReadableStream<Uint8Array>,
  write: (text: string) => void,
): Promise<string> => {
  const decoder = new TextDecoder();
  let all = '';
  for await (const chunk of stream) {
    const text = decoder.decode(chunk, { stream: true });
    all += text;
    write(text);
  }
  return all;
};

const signalGroup = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has just ended.
  }
};

const timeoutError = ({ type, command }: Invocation, timeoutMs: number): CniError =>
  new CniError(
    ErrorCode.delegateFailed,
    `plugin "${type}" did not finish ${command} within ${timeoutMs / 1000} s and was stopped`,
    { details: 'Give it more time with --timeout, or find out what it waits for.' },
  );

const isFile = (path: string): boolean => {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
};
