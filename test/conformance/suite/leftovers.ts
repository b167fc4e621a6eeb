import { setTimeout as sleep } from 'node:timers/promises';
import { leftovers, type Snapshot, snapshot } from '../../support/snapshot.ts';
import type { NetworkConfig, Trial } from './trial.ts';

/**
 * The state of a host on which a container of the same network has come and gone, so that what a plugin keeps
 * for the next one (a bridge, the frame of its packet filter rules) is there already. Make the containers of
 * the case before, call nothing for them yet.
 */
export const usedHost = async (trial: Trial, config?: NetworkConfig): Promise<Snapshot> => {
  const guest = await trial.container(config === undefined ? {} : { config });
  await guest.add();
  await guest.del();
  return snapshot(trial.host);
};

/**
 * Fails unless the host has nothing now that it had not before. What is gone is not looked at, as a case may
 * have taken it away. Links are waited for, up to two seconds: the kernel removes those of a netns some time
 * after it. Routes of a container's interface may stay: they go with it.
 */
export const expectNothingLeft = async (
  trial: Trial,
  state: Snapshot,
  allow: RegExp[] = [],
): Promise<void> => {
  const deadline = performance.now() + 2000;
  const allowed = [/^netns \S+: route /, ...allow];
  for (;;) {
    const { added } = leftovers(state, await snapshot(trial.host), allowed);
    const mayGo = added.some((line) => line.startsWith('link ')) && performance.now() < deadline;
    if (!mayGo) return expectNone(added);
    await sleep(20);
  }
};

const expectNone = (added: readonly string[]): void => {
  if (added.length > 0) throw new Error(`left behind:\n${added.join('\n')}`);
};
