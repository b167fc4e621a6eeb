import { Command, InvalidArgumentError } from 'commander';
import { expectPlugins, podwireBin } from '../../support/binaries.ts';
import { randomSeed } from './random.ts';
import { runSchedule } from './schedule.ts';

interface Options {
  operations?: number;
  minutes?: number;
  seed: number;
  containers: number;
  parallel: number;
}

const number = (text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('a number from 0 is wanted');
  return value;
};

const readOptions = (): Options =>
  new Command('scripts/soak')
    .description(
      'Calls the plugins thousands of times in random order and parallelism, kills some of the calls, and looks again and again whether kernel, disk and packet filter hold what they must.',
    )
    .option(
      '--operations <n>',
      'calls to make (default 10000, without a limit where --minutes is given)',
      number,
    )
    .option('--minutes <m>', 'end after so many minutes', number)
    .option('--seed <n>', 'repeat the choices of an earlier run', number, randomSeed())
    .option('--containers <n>', 'containers that are there at once', number, 24)
    .option('--parallel <n>', 'calls that may run at once', number, 10)
    .parse()
    .opts<Options>();

const main = async ({ operations, minutes, ...options }: Options): Promise<void> => {
  expectPlugins(podwireBin, 'bridge', 'ptp', 'veth', 'host-local');
  console.log(`soak: seed ${options.seed}`);
  const statistics = await runSchedule({
    ...options,
    operations: operations ?? (minutes === undefined ? 10_000 : Number.POSITIVE_INFINITY),
    ...(minutes === undefined ? {} : { seconds: minutes * 60 }),
    checkEvery: 250,
    progress: (text) => console.error(`soak: ${text}`),
  });
  console.log(`${statistics}`);
};

try {
  await main(readOptions());
} catch (error) {
  console.error(`soak: FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
