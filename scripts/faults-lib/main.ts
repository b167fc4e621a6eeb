import { Command, InvalidArgumentError } from 'commander';
import { type FaultRow, rows } from '../../test/faults/runner/rows.ts';
import { type Figures, runRow } from '../../test/faults/runner/run.ts';
import { lackingKernel, lackingTools } from '../../test/support/needs.ts';
import { figureLine, heading, total } from './figures.ts';

interface Options {
  all: boolean;
  count: number;
  seed: number;
  plugin: string[];
  jobs: number;
}

const verbs = ['ADD', 'DEL'] as const;

const natural = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('not a natural number');
  return value;
};

const plugins = (): string[] => [...new Set(rows.map(({ plugin }) => plugin))];

const readOptions = (): Options =>
  new Command('scripts/faults')
    .description(
      'Traces each plugin call, then kills it, stops it, or kills one of its tools, at each of its steps in turn, and sees whether the next call brings back a clean state.',
    )
    .option('--all', 'every step, with every recovery; else a sample', false)
    .option('--count <n>', 'how many of them make a sample', natural, 25)
    .option('--seed <n>', 'chooses the sample', natural, Math.floor(Math.random() * 1e9))
    .option(
      '--plugin <name>',
      `only this one; may be repeated: ${plugins().join(', ')}`,
      (name: string, given: string[]) => [...given, name],
      [],
    )
    .option('--jobs <n>', 'how many hosts at once', natural, 2)
    .parse()
    .opts<Options>();

const main = async ({ all, count, seed, plugin, jobs }: Options): Promise<number> => {
  const unknown = plugin.find((name) => !plugins().includes(name));
  if (unknown !== undefined) throw new Error(`no row for ${unknown}; there are: ${plugins().join(', ')}`);
  const lacking = lackingTools('strace');
  if (lacking !== undefined) throw new Error(lacking);
  console.log(all ? 'Every step.' : `A sample of ${count} for each row and verb; seed ${seed}.`);
  console.log(`\n${heading}`);
  const results: Figures[] = [];
  const failures: string[] = [];
  for (const row of rows.filter((candidate) => plugin.length === 0 || plugin.includes(candidate.plugin))) {
    const lacksFeature = lackingKernel(...(row.kernel ?? []));
    if (lacksFeature !== undefined) {
      console.log(`${row.title}: left out, ${lacksFeature}`);
      continue;
    }
    for (const verb of verbs) {
      const figures = await runRow(row, verb, {
        seed,
        jobs: Math.max(1, jobs),
        ...(all ? {} : { count }),
        progress: progressOf(row, verb),
      });
      results.push(figures);
      failures.push(...figures.failures.map((failure) => `${row.title}, ${verb}: ${failure}`));
      console.log(figureLine(row.title, verb, figures));
    }
  }
  console.log(figureLine('all', '', total(results)));
  if (failures.length > 0) console.log(`\n${failures.join('\n\n')}`);
  return failures.length === 0 ? 0 : 1;
};

/** A line on a terminal that tells how far it is. */
const progressOf =
  ({ title }: FaultRow, verb: string) =>
  (done: number, all: number) => {
    if (!process.stderr.isTTY) return;
    process.stderr.write(done === all ? '\r\x1b[K' : `\r\x1b[K${title}, ${verb}: ${done} of ${all}`);
  };

try {
  process.exitCode = await main(readOptions());
} catch (error) {
  console.error(`faults: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
