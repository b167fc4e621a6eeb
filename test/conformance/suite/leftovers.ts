import { expect } from 'vitest';
import { leftovers, type Snapshot, snapshot } from '../../support/snapshot.ts';
import { waitUntil } from '../../support/wait-until.ts';
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
 * have taken it away. Waits two seconds, since the kernel removes the links of a netns some time after it.
 * Routes of a container's interface may stay: they go with it.
 */
export const expectNothingLeft = async (
  trial: Trial,
  state: Snapshot,
  allow: RegExp[] = [],
): Promise<void> => {
  const allowed = [/^netns \S+: route /, ...allow];
  let added: string[] = [];
  const settled = waitUntil(
    'nothing is left',
    async () => {
      added = leftovers(state, await snapshot(trial.host), allowed).added;
      return added.length === 0;
    },
    2000,
  );
  await settled.catch(() => expect(added, 'left behind').toEqual([]));
};
