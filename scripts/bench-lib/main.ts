import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { describeMachine } from './machine.ts';
import { measureEtcd, measureFloor, measureScenario, type Row, type Sides } from './measure.ts';
import { benchOverlay } from './overlay.ts';
import type { EtcdFigures } from './protocol.ts';
import { waitForQuiet } from './quiet.ts';
import { defaultRuns, type Scenario, scenarios } from './scenarios.ts';
import { median, p95 } from './statistics.ts';
import { etcdLines, firstCalls, resultTable, targetTable } from './tables.ts';
import { judge } from './targets.ts';

interface Options {
  what: string;
  runs: number;
  case: string[];
  self: boolean;
  json?: string;
  ours: string;
  reference: string;
}

const readOptions = (): Options => {
  const command = new Command('scripts/bench')
    .description(
      'Measures our plugins and the reference plugins in turn, each on a host of its own; or the overlay.',
    )
    .option(
      '--runs <n>',
      'calls per measurement; slow cases make proportionally fewer',
      positive,
      defaultRuns,
    )
    .option('--case <name>', `only this case; may be repeated: ${names().join(', ')}`, collect, [])
    .addArgument(
      new Argument('[what]', 'plugin calls, cluster-wide IPAM alone, or the overlay')
        .choices(['plugins', 'ipam', 'overlay'])
        .default('plugins'),
    )
    .option('--self', 'compare ours with itself, to see the noise', false)
    .option('--json <file>', 'write every sample to a file')
    .option('--ours <directory>', 'our plugins', 'dist/bin')
    .option('--reference <directory>', 'the plugins to compare with', '/usr/lib/cni')
    .parse();
  const options = command.opts<Options>();
  const what = command.args[0] ?? 'plugins';
  return { ...options, what, case: what === 'ipam' && options.case.length === 0 ? ['ipam'] : options.case };
};

const main = async (options: Options): Promise<number> => {
  const ours = resolve(options.ours);
  const sides: Sides = { ours, reference: options.self ? ours : resolve(options.reference) };
  for (const bin of Object.values(sides)) {
    if (!existsSync(join(bin, 'bridge'))) throw new Error(`there is no bridge plugin in ${bin}`);
  }
  const machine = describeMachine(sides);
  if (options.what === 'overlay') {
    const lives = Math.max(1, Math.round((5 * options.runs) / defaultRuns));
    return benchOverlay(machine, { lives, ...(options.json === undefined ? {} : { json: options.json }) });
  }
  const floor = await measureFloor(200);
  const other = options.self ? 'ours again' : 'reference';
  const rows: Row[] = [];
  const failures: string[] = [];
  for (const scenario of chosen(options.case)) {
    await waitForQuiet();
    progress(`${scenario.name}: ${scenario.about}`);
    try {
      rows.push(...(await measureScenario(scenario, sides, options.runs)));
    } catch (error) {
      failures.push(`${scenario.name}: ${error instanceof Error ? error.message : String(error)}`);
      progress(`FAILED ${failures.at(-1)}`);
    }
  }
  const noise = `Running /bin/true takes ${median(floor).toFixed(2)} ms (p95 ${p95(floor).toFixed(2)}) of every wall time.`;
  let etcd: EtcdFigures | undefined;
  if (!options.self && isWanted(etcdCase, options.case)) {
    await waitForQuiet();
    progress(`${etcdCase}: cluster-ipam with an etcd on this machine`);
    try {
      etcd = await measureEtcd(ours, options.runs * 25, options.runs);
    } catch (error) {
      failures.push(`${etcdCase}: ${error instanceof Error ? error.message : String(error)}`);
      progress(`FAILED ${failures.at(-1)}`);
    }
  }
  const report = [machine, noise, '', resultTable(rows, other), '', ...firstCalls(rows, other)];
  if (etcd !== undefined) report.push('', ...etcdLines(etcd));
  if (!options.self) report.push('', targetTable(judge(rows, etcd)));
  if (failures.length > 0) report.push('', ...failures.map((failure) => `Not measured: ${failure}`));
  console.log(report.join('\n'));
  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ machine, sides, runs: options.runs, floor, rows, etcd, failures }, null, 1)}\n`,
    );
  }
  return failures.length === 0 ? 0 : 1;
};

const chosen = (wanted: readonly string[]): readonly Scenario[] => {
  const unknown = wanted.find((name) => !names().some((known) => isWanted(known, [name])));
  if (unknown !== undefined) throw new Error(`no case ${unknown}; there are: ${names().join(', ')}`);
  return scenarios.filter(({ name }) => isWanted(name, wanted));
};

const isWanted = (name: string, wanted: readonly string[]): boolean =>
  wanted.length === 0 || wanted.includes(name) || (name.startsWith('ipam-') && wanted.includes('ipam'));

/** It is measured in a way of its own, by one side only. */
const etcdCase = 'ipam-etcd';

const names = (): string[] => [...scenarios.map(({ name }) => name), etcdCase];

const positive = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('a whole number from 1 is wanted');
  return value;
};

const collect = (value: string, former: string[]): string[] => [...former, value];

const progress = (text: string): void => {
  process.stderr.write(`bench: ${text}\n`);
};

try {
  process.exitCode = await main(readOptions());
} catch (error) {
  progress(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
