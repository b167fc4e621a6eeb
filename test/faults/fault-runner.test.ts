import { expect, test } from 'vitest';
import { requireKernel, requireTool } from '../support/needs.ts';
import { rows } from './runner/rows.ts';
import { runRow } from './runner/run.ts';

// A sample, another one each time; `scripts/faults --all` tries every step.
const seed = Number(process.env.PODWIRE_FAULTS_SEED ?? Math.floor(Math.random() * 1e9));
const count = 4;

const cases = rows.flatMap((row) =>
  (['ADD', 'DEL'] as const).map((verb) => ({ row, verb, title: row.title })),
);
test.for(cases)(
  `$title: $verb that is hit at any step leaves nothing (PODWIRE_FAULTS_SEED=${seed})`,
  { timeout: 180_000 },
  async ({ row, verb }, context) => {
    requireTool(context, 'strace');
    requireKernel(context, ...(row.kernel ?? []));
    const { failures, hits, clean } = await runRow(row, verb, { count, seed, jobs: 1 });
    expect(failures.map((failure) => `seed ${seed}: ${failure}`)).toEqual([]);
    expect(hits).toBeGreaterThan(0);
    expect(clean).toBe(hits);
  },
);
