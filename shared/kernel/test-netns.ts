import type { TestContext } from 'vitest';
import { IpBatch, runIpBatch } from './ip-batch.ts';
import { type Netns, openNetns } from './netns.ts';

/** Skips the test, with the reason, where network namespaces cannot be made. */
export const requireNamespaces = (context: TestContext): void => {
  refusal ??= Bun.spawnSync(['unshare', '--net', 'true'], { stderr: 'pipe' }).stderr.toString().trim();
  if (refusal !== '') context.skip(`cannot make network namespaces: ${refusal}`);
};

/**
 * A new network namespace for a test. It has no name and is gone when the test closes it or the
 * process ends, so tests can neither disturb each other nor the machine.
 */
export const createNetns = async (): Promise<Netns> => {
  const holder = Bun.spawn(['unshare', '--net', 'sh', '-c', 'ip link set lo up; echo ready; read -r _'], {
    stdin: 'pipe',
    stdout: 'pipe',
  });
  try {
    await holder.stdout.getReader().read();
    return openNetns(`/proc/${holder.pid}/ns/net`);
  } finally {
    holder.kill();
    await holder.exited;
  }
};

/** Carries out `ip` commands in a namespace. Throws as `runIpBatch` does. */
export const ip = (netns: Netns, ...lines: string[]): void => {
  const batch = new IpBatch();
  for (const line of lines) batch.add(...line.split(' '));
  netns.run(() => runIpBatch(batch, 'preparing a test'));
};

let refusal: string | undefined;
