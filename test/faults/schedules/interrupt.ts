import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningPlugin } from '../../support/call-plugin.ts';

/**
 * Sends a signal to a running call after a time in ms, unless it has ended before. Tools that a killed call
 * had started carry out the orders they have; the next call of the attachment has to wait for them.
 */
export const interrupt = async (
  call: RunningPlugin,
  signal: 'SIGKILL' | 'SIGTERM',
  afterMs: number,
): Promise<void> => {
  let hasEnded = false;
  const ended = call.outcome.then(() => {
    hasEnded = true;
  });
  await Promise.race([ended, sleep(afterMs)]);
  if (!hasEnded) call.kill(signal);
};
