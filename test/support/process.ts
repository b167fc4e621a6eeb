import { accessSync, constants, statSync } from 'node:fs';
import { execa } from 'execa';

/** How a process ended. Nothing is asserted: an exit code, a signal and a timeout are all just told. */
export interface Outcome {
  argv: string[];
  /** Undefined when a signal ended it. */
  exitCode: number | undefined;
  signal: string | undefined;
  timedOut: boolean;
  stdout: string;
  stderr: string;
  /** Wall time in milliseconds, the entering of the namespaces included. */
  ms: number;
}

export interface RunOptions {
  stdin?: string | Uint8Array | undefined;
  /** Keeps stdin open after what was written, as a runtime that never closes it. */
  holdStdin?: boolean;
  /** The whole environment, nothing is inherited; only the system's PATH unless given. */
  env?: Record<string, string> | undefined;
  /** Milliseconds until SIGKILL, 30 000 unless given. */
  timeout?: number | undefined;
  /** Where stdout goes: collected, closed before the start (`closed`), or the path of a file to write. */
  stdout?: 'collect' | 'closed' | { file: string };
}

/** A process that is running; `outcome` settles when it has ended and never rejects. */
export interface Running {
  pid: number;
  kill(signal?: NodeJS.Signals): void;
  outcome: Promise<Outcome>;
}

export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Starts a program. Throws when it cannot be executed at all. */
export const startProcess = (argv: string[], options: RunOptions = {}): Running => {
  const started = performance.now();
  const [file, args] = commandLine(argv, options.stdout ?? 'collect');
  const child = execa(file, args, {
    ...(options.holdStdin || options.stdin === undefined ? {} : { input: options.stdin }),
    stdin: options.holdStdin || options.stdin !== undefined ? 'pipe' : 'ignore',
    env: options.env ?? { PATH: systemPath },
    extendEnv: false,
    cwd: '/',
    reject: false,
    stripFinalNewline: false,
    timeout: options.timeout ?? 30_000,
    killSignal: 'SIGKILL',
    maxBuffer: 50_000_000,
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot execute ${argv.join(' ')}`);
  if (options.holdStdin && options.stdin !== undefined) child.stdin?.write(options.stdin);
  const outcome = child.then((result): Outcome => {
    const { exitCode, signal, timedOut, stdout = '', stderr = '' } = result;
    return { argv, exitCode, signal, timedOut, stdout, stderr, ms: performance.now() - started };
  });
  return { pid, kill: (signal = 'SIGKILL') => void child.kill(signal), outcome };
};

/** Runs a program to its end; whatever the end is. */
export const runProcess = (argv: string[], options: RunOptions = {}): Promise<Outcome> =>
  startProcess(argv, options).outcome;

/** The outcome's stdout; throws with argv, exit code and stderr unless it exited with 0. */
export const expectSuccess = (outcome: Outcome): string => {
  if (outcome.exitCode === 0) return outcome.stdout;
  const end = outcome.timedOut
    ? `timed out after ${Math.round(outcome.ms)} ms`
    : outcome.signal !== undefined
      ? `was killed by ${outcome.signal}`
      : `exited with ${outcome.exitCode}`;
  throw new Error(`${outcome.argv.join(' ')} ${end}\n${outcome.stderr}${outcome.stdout}`.trimEnd());
};

/** The absolute path of a program on the system's PATH (with what `PATH` adds), or undefined. */
export const findProgram = (name: string): string | undefined => {
  const directories = `${process.env.PATH ?? ''}:${systemPath}`
    .split(':')
    .filter((directory) => directory !== '');
  return directories.map((directory) => `${directory}/${name}`).find(isExecutable);
};

/** As findProgram, but throws when the program is missing. */
export const programPath = (name: string): string => {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
};

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
};

// A closed or redirected stdout needs a shell: no spawn interface can start a child without one.
const commandLine = (argv: string[], stdout: NonNullable<RunOptions['stdout']>): [string, string[]] => {
  const [file = '', ...args] = argv;
  if (stdout === 'collect') return [file, args];
  if (stdout === 'closed') return ['/bin/sh', ['-c', 'exec "$@" >&-', 'sh', ...argv]];
  return ['/bin/sh', ['-c', 'out=$1; shift; exec "$@" >"$out"', 'sh', stdout.file, ...argv]];
};
