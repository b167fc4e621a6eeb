import { readFileSync } from 'node:fs';

const windowMs = 200;
const deadlineMs = 10_000;
const busyShare = 0.1;

/**
 * Waits until the processors have little to do, because the kernel still takes down the namespaces of the case
 * before, but at most 10 s: other programs on the machine may never be quiet.
 */
export const waitForQuiet = async (): Promise<void> => {
  const deadline = performance.now() + deadlineMs;
  let before = readTicks();
  while (performance.now() < deadline) {
    await Bun.sleep(windowMs);
    const now = readTicks();
    if ((now.busy - before.busy) / Math.max(1, now.total - before.total) < busyShare) return;
    before = now;
  }
};

const readTicks = (): { busy: number; total: number } => ticksOf(readFileSync('/proc/stat', 'utf8'));

/** The ticks in the first line of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)). */
const ticksOf = (stat: string): { busy: number; total: number } => {
  const ticks = (stat.split('\n')[0] ?? '').split(/\s+/).slice(1, 9).map(Number);
  const total = ticks.reduce((sum, value) => sum + value, 0);
  return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
};
