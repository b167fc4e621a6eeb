import { snapshot } from '../../support/snapshot.ts';
import { createHost, type TestHost } from '../../support/test-host.ts';
import { callAttachment } from './attachment-calls.ts';
import { addBystanders } from './bystanders.ts';
import { checkInvariants } from './check-invariants.ts';
import { finish } from './finish.ts';
import { Model } from './model.ts';
import { callGc, callGcBeside, callStatus } from './network-calls.ts';
import { soakNetworks } from './networks.ts';
import { revive, vanish } from './pods.ts';
import { Random } from './random.ts';
import { Run } from './run.ts';
import type { Statistics } from './statistics.ts';

export interface ScheduleOptions {
  seed: number;
  /** Calls to make, those of the clearing up at the end not counted. */
  operations: number;
  /** Ends it earlier, when this many seconds have passed. */
  seconds?: number;
  containers: number;
  /** Calls that may run at once; how many do changes at random. */
  parallel: number;
  /** Calls between two looks at everything. */
  checkEvery: number;
  progress?: (text: string) => void;
}

/**
 * Makes calls of all verbs in random order and parallelism, kills some of them, and looks again and
 * again whether kernel, disk and packet filter hold exactly what they must. Throws SoakFailure with the
 * seed and the history of what is wrong. What is drawn follows from the seed; what is running when a
 * call starts depends on the machine, too.
 */
export const runSchedule = async (options: ScheduleOptions): Promise<Statistics> => {
  await using host = await createHost({ name: 'soak' });
  const run = new Run(host, new Model(soakNetworks, options.containers), 0.2);
  try {
    await play(run, host, options);
    return run.statistics;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${options.seed}: ${message}`, { cause: error });
  }
};

const play = async (run: Run, host: TestHost, options: ScheduleOptions): Promise<void> => {
  const { seed, operations, seconds = Number.POSITIVE_INFINITY, checkEvery, progress } = options;
  await addBystanders(host);
  const before = await snapshot(host);
  const random = new Random(seed);
  while (run.n < operations && run.statistics.seconds < seconds) {
    const parallel = 1 + random.below(options.parallel);
    await playRound(run, random, Math.min(operations, run.n + checkEvery), parallel);
    await checkInvariants(run, before, random);
    progress?.(`${run.n} calls, ${run.statistics.seconds.toFixed(0)} s`);
  }
  await finish(run, before, random);
};

/** Makes calls until their number is reached, and waits until all have ended. */
const playRound = async (run: Run, random: Random, until: number, parallel: number): Promise<void> => {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  while (run.n < until && failures.length === 0) {
    // One generator for each operation: what one draws does not change what the next ones do.
    const work = begin(run, new Random(random.below(2 ** 32)));
    if (work !== undefined) {
      const tracked: Promise<void> = work
        .catch((error: unknown) => void failures.push(error))
        .finally(() => running.delete(tracked));
      running.add(tracked);
    }
    if (running.size >= parallel || (work === undefined && running.size > 0)) await Promise.race(running);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
};

/** Starts something; undefined when what was drawn has to wait for a call that is under way. */
const begin = (run: Run, random: Random): Promise<void> | undefined => {
  const kind = random.weighted({ attachment: 88, gc: 3, gcBeside: 3, status: 4, vanish: 2 });
  const network = random.pick(run.model.networks);
  const container = random.pick(run.model.containers);
  const isFree = !network.isCollecting && !network.isCollectingBeside;
  if (kind === 'status') return callStatus(run, network, random);
  if (kind === 'gc') return isFree && network.inFlight === 0 ? callGc(run, network, random) : undefined;
  if (kind === 'gcBeside') return isFree ? callGcBeside(run, network, random) : undefined;
  if (container.isBusy) return undefined;
  if (container.pod === undefined && (container.isEmpty || random.chance(0.15)))
    return revive(run, container, random);
  if (kind === 'vanish') return vanish(run, container);
  const attachment = random.pick(container.attachments);
  return attachment.network.isCollecting ? undefined : callAttachment(run, attachment, random);
};
