import type { Container } from './model.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

/** Takes a container's netns away before its DELs, as that of a container that died. */
export const vanish = async (run: Run, container: Container): Promise<void> => {
  const { pod } = container;
  if (pod === undefined) return;
  container.isBusy = true;
  const entry = run.history.begin({ n: run.n, verb: 'netns del', containerId: container.id });
  container.pod = undefined;
  await pod.remove();
  run.statistics.vanishedNetns += 1;
  run.history.end(entry, 'gone');
  container.isBusy = false;
};

/**
 * Gives a container without netns a new one: a new id when nothing is left of it, else the same id, as a
 * runtime that restarts its sandbox.
 */
export const revive = async (run: Run, container: Container, random: Random): Promise<void> => {
  container.isBusy = true;
  counter += 1;
  if (container.isEmpty) container.id = `c${container.index}-${counter}${idTail(random)}`;
  const entry = run.history.begin({ n: run.n, verb: 'netns add', containerId: container.id });
  const pod = await run.host.addPod(`ns${container.index}-${counter}`);
  container.pod = pod;
  container.netns = pod.netns;
  run.history.end(entry, pod.netns);
  container.isBusy = false;
};

let counter = 0;

/** Ids of containerd's length, and such as make comments that nftables has no room for. */
const idTail = (random: Random): string =>
  random.weighted({ short: 6, long: 3, longer: 1 }) === 'short'
    ? ''
    : `.${'x'.repeat(random.pick([56, 110]))}`;
