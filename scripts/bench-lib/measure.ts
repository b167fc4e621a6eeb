import type { Cost, Costs, EtcdFigures, Footprint, Footprints, Request } from './protocol.ts';
import { defaultRuns, type Scenario, type Step, type Verb } from './scenarios.ts';
import { WorkerClient } from './worker-client.ts';

/** What a row of the table is made of, for one side. */
export interface Samples {
  /** The call before the measured ones: it makes the bridge, fills caches and builds an index. */
  first: Cost | undefined;
  costs: Cost[];
  footprint: Footprint | undefined;
}

/** One verb of one step. `reference` is undefined where only our side ran. */
export interface Row {
  scenario: string;
  about: string;
  step: string;
  verb: Verb;
  ours: Samples;
  reference: Samples | undefined;
}

/** The directories whose plugins are compared. */
export interface Sides {
  ours: string;
  reference: string;
}

/** Runs one scenario on two fresh hosts; throws when a plugin call fails. */
export const measureScenario = async (scenario: Scenario, sides: Sides, runs: number): Promise<Row[]> => {
  const other = scenario.againstOurs ? sides.ours : sides.reference;
  const bins = scenario.oursOnly ? [sides.ours] : [sides.ours, other];
  const workers = bins.map(() => new WorkerClient());
  try {
    for (const [index, worker] of workers.entries()) {
      const isOurs = index === 0;
      await worker.ask({ do: 'prepare', scenario: scenario.name, bin: bins[index] as string, isOurs });
    }
    const rows: Row[] = [];
    for (const step of scenario.steps) rows.push(...(await measureStep(scenario, step, workers, runs)));
    return rows;
  } finally {
    await Promise.all(workers.map((worker) => worker.close()));
  }
};

/** The wall times, in milliseconds, of running a program that does nothing. */
export const measureFloor = async (rounds: number): Promise<number[]> => {
  const worker = new WorkerClient();
  try {
    return await worker.ask<number[]>({ do: 'floor', rounds });
  } finally {
    await worker.close();
  }
};

/** What cluster-ipam does with an etcd that runs on the worker's host; `adds` ADDs, and `claims` of a block. */
export const measureEtcd = async (bin: string, adds: number, claims: number): Promise<EtcdFigures> => {
  const worker = new WorkerClient();
  try {
    return await worker.ask<EtcdFigures>({ do: 'etcd', bin, adds, claims });
  } finally {
    await worker.close();
  }
};

type Workers = readonly WorkerClient[];

const measureStep = async (
  scenario: Scenario,
  step: Step,
  workers: Workers,
  runs: number,
): Promise<Row[]> => {
  await Promise.all(workers.map((worker) => populate(worker, step)));
  const firsts = await inTurn(workers, (worker) => worker.ask<Costs>(callsOf(step)));
  const costs = await measureRounds(step, workers, runs);
  const footprints = await inTurn(workers, (worker) => footprintsOf(worker, step));
  const samples = (side: number, verb: Verb): Samples => ({
    first: firsts[side]?.[verb],
    costs: (costs[side] ?? []).flatMap((cost) => cost[verb] ?? []),
    footprint: footprints[side]?.[verb],
  });
  return step.verbs.map((verb) => ({
    scenario: scenario.name,
    about: scenario.about,
    step: step.label,
    verb,
    ours: samples(0, verb),
    reference: workers.length > 1 ? samples(1, verb) : undefined,
  }));
};

const populate = async (worker: WorkerClient, step: Step): Promise<void> => {
  if (step.residents) await worker.ask({ do: 'fill', count: step.residents });
  if (step.poolInUse) await worker.ask({ do: 'use', ...step.poolInUse });
  if (step.reservations) await worker.ask({ do: 'reserve', count: step.reservations });
};

const measureRounds = async (step: Step, workers: Workers, runs: number): Promise<Costs[][]> => {
  const costs: Costs[][] = workers.map(() => []);
  const [rounds, referenceRounds] = roundsOf(step, runs);
  for (let round = 0; round < rounds; round += 1) {
    // Who goes first alternates, so that neither always follows the other.
    for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const worker = workers[side];
      if (worker === undefined || (side === 1 && round >= referenceRounds)) continue;
      costs[side]?.push(await worker.ask<Costs>(callsOf(step)));
    }
  }
  return costs;
};

const callsOf = (step: Step): Request =>
  step.kind === 'churn' ? { do: 'churn' } : { do: 'cycle', verbs: step.verbs };

const footprintsOf = async (worker: WorkerClient, step: Step): Promise<Footprints> =>
  step.kind === 'churn' ? {} : worker.ask<Footprints>({ do: 'footprint', verbs: step.verbs });

const inTurn = async <T>(workers: Workers, body: (worker: WorkerClient) => Promise<T>): Promise<T[]> => {
  const results: T[] = [];
  for (const worker of workers) results.push(await body(worker));
  return results;
};

/** Rounds for ours and the reference: those of the step, scaled by `runs`, at least 3 (2 for the reference). */
const roundsOf = (step: Step, runs: number): [number, number] => {
  const rounds = Math.max(3, Math.round((step.rounds * runs) / defaultRuns));
  const reference = Math.max(2, Math.round(((step.referenceRounds ?? step.rounds) * runs) / defaultRuns));
  return [rounds, Math.min(rounds, reference)];
};
