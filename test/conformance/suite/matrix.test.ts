import { expect, test } from 'vitest';
import type { SpecVersion } from './case.ts';
import { conformanceMatrix, type Outcome, type TrialOutcome } from './matrix.ts';

const trial = (
  plugin: string,
  version: SpecVersion,
  outcome: Outcome,
  rest: Partial<TrialOutcome> = {},
): TrialOutcome => ({ subject: 'ours', case: 'a', covers: ['A1'], plugin, version, outcome, ...rest });

const requirements = [
  { id: 'A1', level: 'must', text: 'it | works' },
  { id: 'A2', level: 'must', text: 'it fails well' },
] as const;
const cases = [
  { id: 'a', title: 'covering', covers: ['A1'] },
  { id: 's', title: 'a scenario', covers: [] },
] as const;

const linesOf = (trials: TrialOutcome[]): string[] =>
  conformanceMatrix({ trials, requirements, cases }).split('\n');

test('a cell is a tick when all versions that the plugin knows have passed, else it names them', () => {
  const lines = linesOf([
    trial('bridge', '0.4.0', 'passed'),
    trial('bridge', '1.0.0', 'passed'),
    trial('ptp', '0.3.1', 'passed', { case: 's', covers: [] }),
    trial('ptp', '0.4.0', 'passed'),
    trial('ptp', '1.0.0', 'passed'),
    trial('ptp', '1.1.0', 'passed'),
  ]);
  expect(lines).toContain('| A1 (must) it \\| works | ✓ | ✓ 0.4.0–1.1.0 |');
  expect(lines).toContain('| A2 (must) it fails well |  |  |');
  expect(lines).toContain('| `s` a scenario |  | ✓ 0.3.1 |');
});

test('of several cases of a version the worst one counts', () => {
  const lines = linesOf([
    trial('bridge', '0.4.0', 'passed'),
    trial('bridge', '0.4.0', 'known', { known: 'a reason' }),
    trial('bridge', '1.0.0', 'passed'),
    trial('bridge', '1.1.0', 'failed'),
    trial('bridge', '1.1.0', 'skipped'),
  ]);
  expect(lines).toContain('| A1 (must) it \\| works | **✗✗** 1.1.0, ✗ 0.4.0, ✓ 1.0.0 |');
  expect(lines).toContain('- bridge, `a` (0.4.0): a reason');
  expect(lines).toContain('2 trials passed, 1 failed, 1 failed as known, 1 skipped.');
});

test('each directory of plugins has a section of its own', () => {
  const lines = linesOf([
    trial('bridge', '1.0.0', 'passed'),
    trial('ptp', '1.0.0', 'passed', { subject: 'theirs' }),
  ]);
  expect(lines.filter((line) => line.startsWith('## '))).toEqual(['## ours', '## theirs']);
  expect(lines).toContain('| Requirement | bridge |');
});
