import { dlopen, FFIType } from 'bun:ffi';

// A plugin may exit while a child of its own still waits for the kernel to finish a deletion. That child's time
// belongs to the call, though no getrusage of the plugin shows it.

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;
const deadlineMs = 5000;
const pollMs = 0.5;

const libc = dlopen('libc.so.6', {
  prctl: { args: [FFIType.i32, FFIType.u64, FFIType.u64, FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  wait4: { args: [FFIType.i32, FFIType.ptr, FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
}).symbols;

/** From now on the orphaned descendants of this process become its children. */
export const adoptOrphans = (): void => {
  if (libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n) !== 0)
    throw new Error('prctl(PR_SET_CHILD_SUBREAPER) failed');
};

/**
 * Waits until no child is left, and returns the CPU milliseconds that those which ended here had used. To be
 * called only when no child of Bun's is running, since it would take that one's exit status.
 */
export const reapOrphans = async (): Promise<number> => {
  const status = new Int32Array(1);
  const usage = new BigInt64Array(18);
  const deadline = performance.now() + deadlineMs;
  let cpuMs = 0;
  for (;;) {
    const pid = libc.wait4(-1, status, WNOHANG, usage);
    if (pid < 0) return cpuMs;
    if (pid > 0) cpuMs += timeMs(usage, 0) + timeMs(usage, 2);
    else if (performance.now() > deadline)
      throw new Error(`a plugin left a process running for ${deadlineMs} ms`);
    else await Bun.sleep(pollMs);
  }
};

// struct rusage starts with two struct timeval: user and system time.
const timeMs = (usage: BigInt64Array, index: number): number =>
  Number(usage[index] ?? 0n) * 1e3 + Number(usage[index + 1] ?? 0n) / 1e3;
