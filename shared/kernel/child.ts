import type { CniError } from '../cni/errors.ts';
import { killedFailure, startFailure } from './child-failure.ts';
import { closeSync, writeSync } from './files.ts';
import { libc, SystemError } from './libc.ts';
import { Pipe, pollFds } from './pipe.ts';
import { type Inherited, spawn } from './spawn.ts';

/** What a child that ended by itself left. */
export interface CommandResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

export interface ChildOptions {
  /** What the child reads; without it, its stdin is empty. */
  stdin?: string | Uint8Array;
  /** Milliseconds until the child is killed; 20,000 when absent. */
  timeoutMs?: number;
}

/** What is decided when a child starts. */
export interface ChildSetup {
  /** The whole environment of the child. */
  env: Record<string, string | undefined>;
  inherit?: Inherited;
}

/** Milliseconds. */
const DEFAULT_TIMEOUT_MS = 20_000;

/** Bytes; far above any dump we ask for: only a tool gone wild prints that much. */
const OUTPUT_LIMIT = 64 * 1024 * 1024;

/** How long the output of an ended child is awaited when a descendant holds its pipes open (ms). */
const DRAIN_MS = 200;

/**
 * A child process, by posix_spawn(3): Bun.spawn's first call in a process costs 0.8 ms more than that,
 * and what it starts can't be waited for without turning the event loop. The child is in the netns of
 * the calling thread, leads a session of its own (a Ctrl-C meant for us does not stop it half-way, and
 * its whole process group can be killed), and inherits no descriptor of ours but `inherit`: a runtime
 * waits for the end of our stdout and stderr.
 */
export class Child {
  readonly pid: number;
  readonly #argv: string[];
  readonly #stdout: Pipe;
  readonly #stderr: Pipe;
  /** Tells when the child ends (pidfd_open(2), Linux 5.3); -1 where there is none. */
  readonly #pidfd: number;
  #stdin: number | undefined;
  #timeoutMs = DEFAULT_TIMEOUT_MS;
  #deadline = Number.POSITIVE_INFINITY;
  #status: number | undefined;

  /** Starts it; it waits for its input. Throws CniError 100 when the program can't be started. */
  constructor(argv: string[], { env, inherit = [undefined, undefined] }: ChildSetup) {
    const started = spawn(argv, env, inherit);
    if (started instanceof SystemError) throw startFailure(argv, started);
    this.#argv = argv;
    this.pid = started.pid;
    this.#stdin = started.stdin;
    this.#stdout = new Pipe(started.stdout);
    this.#stderr = new Pipe(started.stderr);
    this.#pidfd = libc().syscall(SYS_pidfd_open, BigInt(started.pid), null, 0n, 0n, null);
  }

  /** What it has printed on stdout so far. */
  output(): string {
    return this.#stdout.text();
  }

  /**
   * Gives the child its input and closes that; it has `timeoutMs` from now on. What it prints meanwhile
   * is read, so that neither waits for the other. Throws as `poll` does.
   */
  feed({ stdin = '', timeoutMs = DEFAULT_TIMEOUT_MS }: ChildOptions): void {
    this.#timeoutMs = timeoutMs;
    this.#deadline = performance.now() + timeoutMs;
    let rest = typeof stdin === 'string' ? new TextEncoder().encode(stdin) : stdin;
    while (this.#stdin !== undefined && rest.length > 0 && !this.#reap()) {
      if (!this.#turn(this.#deadline, this.#stdin)) continue;
      try {
        rest = rest.subarray(writeSync(this.#stdin, rest.subarray(0, PIPE_BUF)));
      } catch (error) {
        // It reads no more; its exit code says why.
        if ((error as SystemError).code === 'EPIPE') break;
        throw error;
      }
    }
    this.#closeStdin();
  }

  /**
   * Waits up to `waitMs` for the child to end; its result, or undefined while it runs. Throws CniError
   * 100 when it takes longer than it has, prints more than 64 MiB, or dies of a signal.
   */
  poll(waitMs: number): CommandResult | undefined {
    const until = performance.now() + waitMs;
    for (let expired = false; !this.#reap(); expired = performance.now() >= until) {
      if (expired) return undefined;
      this.#turn(until);
    }
    this.#drain();
    const status = this.#status ?? 0;
    const signal = status & 0x7f;
    if (signal !== 0) throw this.#killed(signalName(signal));
    return { stdout: this.#stdout.text(), stderr: this.#stderr.text(), exitCode: (status >> 8) & 0xff };
  }

  /** Waits for the child to end. Throws as `poll` does. */
  wait(): CommandResult {
    for (;;) {
      const result = this.poll(Number.POSITIVE_INFINITY);
      if (result !== undefined) return result;
    }
  }

  /** Lets the child end on its own. It must have nothing more to print: its pipes are closed. */
  release(): void {
    this.#closeStdin();
    this.#stdout.close();
    this.#stderr.close();
  }

  /** Kills it and its descendants with SIGKILL. */
  kill(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // ESRCH: nothing is left of it.
    }
  }

  /**
   * Sleeps until the child prints or ends, `writable` takes input, or `until` is reached; reads what was
   * printed. Returns whether `writable` is ready.
   */
  #turn(until: number, writable = -1): boolean {
    const now = performance.now();
    if (now >= this.#deadline) throw this.#killed('timeout');
    const longest = this.#pidfd < 0 ? REAP_MS : Number.POSITIVE_INFINITY;
    const pipes = [this.#stdout, this.#stderr];
    const ready = pollFds(
      [...pipes.map(({ fd }) => fd), this.#pidfd],
      writable,
      Math.min(until - now, this.#deadline - now, longest),
    );
    for (const [index, pipe] of pipes.entries()) if (ready[index]) pipe.read();
    if (this.#stdout.size + this.#stderr.size > OUTPUT_LIMIT) throw this.#killed('output');
    return ready[3] === true;
  }

  /** Reads what an ended child left in its pipes; not for long, as a descendant may hold them open. */
  #drain(): void {
    const until = performance.now() + DRAIN_MS;
    const pipes = [this.#stdout, this.#stderr];
    while (pipes.some(({ fd }) => fd >= 0) && performance.now() < until) {
      const ready = pollFds(
        pipes.map(({ fd }) => fd),
        -1,
        until - performance.now(),
      );
      for (const [index, pipe] of pipes.entries()) if (ready[index]) pipe.read();
    }
    this.release();
    if (this.#pidfd >= 0) closeSync(this.#pidfd);
  }

  /** Whether the child has ended. */
  #reap(): boolean {
    if (this.#status !== undefined) return true;
    const status = new Int32Array(1);
    if (libc().waitpid(this.pid, status, WNOHANG) !== this.pid) return false;
    this.#status = status[0] ?? 0;
    return true;
  }

  /** Kills it, and returns when it is dead, so that an undo that looks at the kernel sees its last act. */
  #killed(end: string): CniError {
    this.kill();
    const until = performance.now() + DEATH_MS;
    while (!this.#reap() && performance.now() < until) pollFds([this.#pidfd], -1, REAP_MS);
    this.release();
    return killedFailure(this.#argv, end, { timeoutMs: this.#timeoutMs, outputBytes: OUTPUT_LIMIT });
  }

  #closeStdin(): void {
    if (this.#stdin !== undefined) closeSync(this.#stdin);
    this.#stdin = undefined;
  }
}

/** A pipe that poll calls writable takes this much without blocking. */
const PIPE_BUF = 4096;

/** How long a killed child may take to die, which takes longer only in the middle of a system call (ms). */
const DEATH_MS = 1_000;

/** How often an ended child is looked for where there is no pidfd (ms). */
const REAP_MS = 1;

const WNOHANG = 1;

/** The same number on x64 and arm64. */
const SYS_pidfd_open = 434n;

const signalName = (number: number): string => {
  const { signals } = process.getBuiltinModule('node:os').constants;
  for (const [name, value] of Object.entries(signals)) if (value === number) return name;
  return `signal ${number}`;
};
