/** One system call of a process, as strace printed it. */
export interface TracedCall {
  syscall: string;
  /** What stands in the parentheses. */
  args: string;
  /** It returned an error. */
  failed: boolean;
}

/** The `n`-th call of a system call in one process, as strace counts for its fault injection. */
export interface Step {
  syscall: string;
  n: number;
}

/**
 * strace's filter for the runner: what changes only the caller's own memory is no step, as nobody else can see
 * it. `%memory` is strace's own class of these calls.
 */
export const tracedCalls = 'trace=!%memory';

/**
 * Reads what strace wrote: the calls of each process (0 where strace gave no pid), in order, the process that was
 * started first. A call that another one's line interrupted is put together again.
 */
export const parseTrace = (text: string): Map<number, TracedCall[]> => {
  const processes = new Map<number, TracedCall[]>();
  const unfinished = new Map<number, TracedCall>();
  for (const line of text.split('\n')) {
    const [, pidText = '0', rest = ''] = /^(?:(\d+) +)?(.*)$/.exec(line) ?? [];
    const pid = Number(pidText);
    const pending = unfinished.get(pid);
    if (pending !== undefined && rest.startsWith('<... ')) {
      pending.failed = hasFailed(rest);
      pending.args += rest;
      unfinished.delete(pid);
      continue;
    }
    const [, syscall, args = ''] = /^(\w+)\((.*)$/.exec(rest) ?? [];
    if (syscall === undefined) continue;
    const call = { syscall, args, failed: hasFailed(rest) };
    processes.set(pid, [...(processes.get(pid) ?? []), call]);
    if (rest.endsWith('<unfinished ...>')) unfinished.set(pid, call);
  }
  return processes;
};

/**
 * The steps at which a process is hit, each when it is about to be made. A call before `isFirstAct` is start-up,
 * and one that follows upon a call that failed finds everything as that one did, so it is left out.
 */
export const stepsOf = (calls: readonly TracedCall[], isFirstAct: (call: TracedCall) => boolean): Step[] => {
  const first = calls.findIndex(isFirstAct);
  if (first < 0) return [];
  const counts = new Map<string, number>();
  return calls.flatMap(({ syscall }, index) => {
    const n = (counts.get(syscall) ?? 0) + 1;
    counts.set(syscall, n);
    return index < first || calls[index - 1]?.failed === true ? [] : [{ syscall, n }];
  });
};

/** A plugin can't do anything before it has read what for. */
export const readsStdin = ({ syscall, args }: TracedCall): boolean =>
  syscall === 'read' && args.startsWith('0,');

/** A tool changes the kernel through a socket, and gets its orders by arguments or stdin. */
export const readsStdinOrOpensSocket = (call: TracedCall): boolean =>
  readsStdin(call) || call.syscall === 'socket';

/** The names of the programs that the children of the first process executed. */
export const programsIn = (processes: ReadonlyMap<number, TracedCall[]>): string[] => {
  const [, ...children] = [...processes.values()];
  const names = children.flat().flatMap(({ syscall, args, failed }) => {
    const path = syscall === 'execve' && !failed ? /^"([^"]+)"/.exec(args)?.[1] : undefined;
    return path === undefined ? [] : [path.slice(path.lastIndexOf('/') + 1)];
  });
  return [...new Set(names)].sort();
};

const hasFailed = (line: string): boolean => /\) += -1 E[A-Z]+ \(/.test(line);
