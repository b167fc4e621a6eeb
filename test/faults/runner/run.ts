import { perform } from './perform.ts';
import { allHits, describeHit, type Hit, sample } from './plan.ts';
import type { FaultRow } from './rows.ts';
import { Stage, type Verb } from './stage.ts';

export interface RunOptions {
  /** How many of the hits, chosen by `seed`; all of them when absent. */
  count?: number | undefined;
  seed: number;
  /** How many hosts at once. */
  jobs: number;
  /** Called after each hit. */
  progress?: (done: number, all: number) => void;
}

/** What came of one row and verb. */
export interface Figures {
  /** Steps of the plugin and of its tools in an undisturbed call. */
  pluginSteps: number;
  toolSteps: number;
  hits: number;
  /** Hits that ended the call or made it fail; the others let it come to its end. */
  took: number;
  /** Hits after which all was as before. */
  clean: number;
  /** What was not, with the hit that led to it. */
  failures: string[];
}

/** Traces the verb, then hits it at every step, or at a sample of them. Throws when an undisturbed call fails. */
export const runRow = async (row: FaultRow, verb: Verb, options: RunOptions): Promise<Figures> => {
  const first = await Stage.open(row);
  try {
    const steps = await first.trace(verb);
    const all = allHits(row, steps);
    const hits = options.count === undefined ? all : sample(all, options.count, options.seed);
    const figures: Figures = {
      pluginSteps: steps.plugin.length,
      toolSteps: [...steps.tools.values()].flat().length,
      hits: hits.length,
      took: 0,
      clean: 0,
      failures: [],
    };
    const left = [...hits];
    const report = () => options.progress?.(figures.clean + figures.failures.length, hits.length);
    const others = Array.from({ length: options.jobs - 1 }, () => ready(row, verb));
    await Promise.all([
      work(first, verb, left, figures, report),
      ...others.map(async (stage) => work(await stage, verb, left, figures, report)),
    ]);
    return figures;
  } finally {
    await first.dispose();
  }
};

/** A further stage, with its tools' wrappers in place. */
const ready = async (row: FaultRow, verb: Verb): Promise<Stage> => {
  const stage = await Stage.open(row);
  await stage.trace(verb);
  return stage;
};

/** Takes hits off the list until there are none; after a failure on a new host. */
const work = async (
  first: Stage,
  verb: Verb,
  left: Hit[],
  figures: Figures,
  report: () => void,
): Promise<void> => {
  let stage = first;
  try {
    for (let hit = left.shift(); hit !== undefined; hit = left.shift()) {
      const { took, problem } = await attempt(stage, verb, hit);
      if (took) figures.took += 1;
      if (problem === undefined) figures.clean += 1;
      else {
        figures.failures.push(`${describeHit(hit)}: ${problem}`);
        await stage.dispose();
        stage = await ready(stage.row, verb);
      }
      report();
    }
  } finally {
    await stage.dispose();
  }
};

const attempt = async (stage: Stage, verb: Verb, hit: Hit) => {
  try {
    return await perform(stage, verb, hit);
  } catch (error) {
    return { took: false, problem: error instanceof Error ? error.message : String(error) };
  }
};
