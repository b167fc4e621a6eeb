import { writeFileSync } from 'node:fs';
import { measureSyncs, type SyncSamples } from './overlay-sync.ts';
import type { Throughputs } from './overlay-throughput.ts';
import { waitForQuiet } from './quiet.ts';
import { median, p95 } from './statistics.ts';
import { markdown, targetTable } from './tables.ts';
import type { Verdict } from './targets.ts';

export interface OverlayBenchOptions {
  /** Of the syncs, how many processes each measures in; of the throughput, four times as many runs of each side. */
  lives: number;
  json?: string;
}

/** Measures the overlay and prints what came of it; returns the exit code. */
export const benchOverlay = async (
  machine: string,
  { lives, json }: OverlayBenchOptions,
): Promise<number> => {
  const syncs: SyncSamples[] = [];
  for (const peers of [1000, 5000]) {
    process.stderr.write(`bench: overlay: syncs with ${peers} peers\n`);
    syncs.push(await measureSyncs(peers, lives));
  }
  process.stderr.write('bench: overlay: throughput\n');
  const throughputs = await measureThroughput(lives * 4);
  console.log(
    [
      machine,
      '',
      syncTable(syncs),
      '',
      throughputTable(throughputs),
      '',
      targetTable(judge(syncs, throughputs)),
    ].join('\n'),
  );
  if (json !== undefined)
    writeFileSync(json, `${JSON.stringify({ machine, syncs, throughputs }, null, 1)}\n`);
  return 0;
};

const measureThroughput = async (rounds: number): Promise<Throughputs | undefined> => {
  if (Bun.which('iperf3') === null) {
    process.stderr.write('bench: overlay: no throughput: there is no iperf3\n');
    return undefined;
  }
  await waitForQuiet();
  const worker = `${import.meta.dir}/overlay-throughput.ts`;
  const child = Bun.spawn({
    cmd: [`${import.meta.dir}/../private-host`, process.execPath, worker, `${rounds}`, '2'],
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error('the throughput could not be measured');
  return JSON.parse(text);
};

const syncTable = (syncs: readonly SyncSamples[]): string =>
  markdown(
    ['sync, dual stack, ms (p95)', ...syncs.map(({ peers }) => `${peers} peers`)],
    [
      ['first, into an empty kernel', ...syncs.map(({ first }) => timesText(first))],
      ['nothing changed, compared with the kernel', ...syncs.map(({ unchanged }) => timesText(unchanged))],
      ['one peer changed', ...syncs.map(({ changed }) => timesText(changed))],
    ],
  );

const throughputTable = (throughputs: Throughputs | undefined): string =>
  throughputs === undefined
    ? 'Throughput was not measured: there is no iperf3.'
    : markdown(
        ['pod to pod of another node, one TCP stream', 'Gb/s', 'lowest', 'highest'],
        [
          ['ours', ...ratesText(throughputs.ours)],
          ['set by hand as flannel sets it', ...ratesText(throughputs.byHand)],
        ],
      );

/** The promises, and what came of them. */
const judge = (syncs: readonly SyncSamples[], throughputs: Throughputs | undefined): Verdict[] => {
  const verdicts: Verdict[] = [];
  const limit = (about: string, times: readonly number[], limitMs: number) => {
    const measured = median(times);
    verdicts.push({
      about,
      target: `≤ ${limitMs} ms`,
      measured: `${measured.toFixed(1)} ms`,
      met: measured <= limitMs,
    });
  };
  for (const { peers, first, unchanged, changed } of syncs) {
    limit(`first sync of ${peers} peers`, first, peers === 1000 ? 700 : 3000);
    if (peers < 5000) continue;
    limit(`a sync that changes nothing, ${peers} peers`, unchanged, 500);
    limit(`one peer's change, of ${peers} peers`, changed, 50);
  }
  if (throughputs !== undefined) {
    const ratio = median(throughputs.ours) / median(throughputs.byHand);
    verdicts.push({
      about: 'throughput, ours / by hand',
      target: '≥ 0.97',
      measured: ratio.toFixed(3),
      met: ratio >= 0.97,
    });
  }
  return verdicts;
};

const timesText = (times: readonly number[]): string =>
  `${median(times).toFixed(1)} (${p95(times).toFixed(1)})`;

const ratesText = (rates: readonly number[]): string[] =>
  [median(rates), Math.min(...rates), Math.max(...rates)].map((rate) => (rate / 1e9).toFixed(2));
