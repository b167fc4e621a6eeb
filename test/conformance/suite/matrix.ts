import type { Requirement } from '../requirements.ts';
import { type Case, type SpecVersion, specVersions } from './case.ts';
import type { TrialMeta } from './conformance-of.ts';

/** `known`: failed as its list says. */
export type Outcome = 'passed' | 'known' | 'failed' | 'skipped';

export interface TrialOutcome extends TrialMeta {
  outcome: Outcome;
}

export interface MatrixInput {
  trials: readonly TrialOutcome[];
  requirements: readonly Requirement[];
  cases: readonly Pick<Case, 'id' | 'title' | 'covers'>[];
}

/**
 * The outcome of a run as Markdown: for each directory of plugins a table requirement × plugin, whose cells
 * tell the versions, one of scenarios that belong to no requirement, and what is known to fail.
 */
export const conformanceMatrix = (input: MatrixInput): string =>
  unique(input.trials.map(({ subject }) => subject))
    .map((subject) =>
      subjectSection(subject, {
        ...input,
        trials: input.trials.filter((trial) => trial.subject === subject),
      }),
    )
    .join('\n');

const subjectSection = (subject: string, { trials, requirements, cases }: MatrixInput): string => {
  const plugins = unique(trials.map(({ plugin }) => plugin)).toSorted();
  const counts = countOutcomes(trials);
  const header = (first: string): string[] => [
    `| ${first} | ${plugins.join(' | ')} |`,
    `|---|${plugins.map(() => '---').join('|')}|`,
  ];
  const row = (title: string, chosen: readonly TrialOutcome[]): string =>
    `| ${title} | ${plugins.map((plugin) => cell(plugin, trials, chosen)).join(' | ')} |`;

  const requirementRows = requirements.map(({ id, level, text }) =>
    row(
      `${id} (${level}) ${escapeCell(text)}`,
      trials.filter(({ covers }) => covers.includes(id)),
    ),
  );
  const tried = new Set(trials.map((trial) => trial.case));
  const scenarios = cases.filter(({ id, covers }) => covers.length === 0 && tried.has(id));
  const scenarioRows = scenarios.map(({ id, title }) =>
    row(
      `\`${id}\` ${escapeCell(title)}`,
      trials.filter((trial) => trial.case === id),
    ),
  );
  return [
    `## ${subject}`,
    '',
    `${counts.passed} trials passed, ${counts.failed} failed, ${counts.known} failed as known, ${counts.skipped} skipped.`,
    '',
    ...header('Requirement'),
    ...requirementRows,
    '',
    ...(scenarioRows.length === 0 ? [] : [...header('Scenario'), ...scenarioRows, '']),
    ...knownFailures(trials),
  ].join('\n');
};

/** How many trials ended in which way. */
export const countOutcomes = (trials: readonly TrialOutcome[]): Record<Outcome, number> => {
  const counts = { passed: 0, known: 0, failed: 0, skipped: 0 };
  for (const { outcome } of trials) counts[outcome] += 1;
  return counts;
};

const worstFirst: readonly Outcome[] = ['failed', 'known', 'skipped', 'passed'];
const marks: Record<Outcome, string> = { passed: '✓', known: '✗', failed: '**✗✗**', skipped: 'skipped' };

/**
 * What a plugin made of some trials: `✓`, or each outcome with its versions where not all that the plugin
 * knows were tried or had the same one.
 */
const cell = (plugin: string, trials: readonly TrialOutcome[], chosen: readonly TrialOutcome[]): string => {
  const known = versionsIn(trials.filter((trial) => trial.plugin === plugin));
  const own = chosen.filter((trial) => trial.plugin === plugin);
  if (own.length === 0) return '';
  const byVersion = new Map(
    versionsIn(own).map((version) => [version, worst(own.filter((trial) => trial.version === version))]),
  );
  return worstFirst
    .map((outcome) => ({ outcome, versions: known.filter((version) => byVersion.get(version) === outcome) }))
    .filter(({ versions }) => versions.length > 0)
    .map(({ outcome, versions }) =>
      versions.length === known.length ? marks[outcome] : `${marks[outcome]} ${ranges(versions, known)}`,
    )
    .join(', ');
};

const worst = (trials: readonly TrialOutcome[]): Outcome =>
  worstFirst.find((outcome) => trials.some((trial) => trial.outcome === outcome)) ?? 'passed';

/** `0.1.0–0.4.0`, `1.0.0`: runs of neighbours in `all`. */
const ranges = (versions: readonly SpecVersion[], all: readonly SpecVersion[]): string => {
  const runs: SpecVersion[][] = [];
  for (const version of versions) {
    const last = runs.at(-1);
    if (last !== undefined && all.indexOf(version) === all.indexOf(last.at(-1) ?? version) + 1) {
      last.push(version);
    } else {
      runs.push([version]);
    }
  }
  return runs.map((run) => (run.length === 1 ? `${run[0]}` : `${run[0]}–${run.at(-1)}`)).join(', ');
};

const knownFailures = (trials: readonly TrialOutcome[]): string[] => {
  const failed = trials.filter(({ outcome }) => outcome === 'known');
  if (failed.length === 0) return [];
  const lines = unique(failed.map(({ known, ...trial }) => `${trial.case}\0${trial.plugin}\0${known}`)).map(
    (key) => {
      const [id, plugin, reason] = key.split('\0');
      const versions = versionsIn(failed.filter((trial) => trial.case === id && trial.plugin === plugin));
      return `- ${plugin}, \`${id}\` (${ranges(versions, specVersions)}): ${reason}`;
    },
  );
  return ['Known to fail:', '', ...lines, ''];
};

const versionsIn = (trials: readonly TrialOutcome[]): SpecVersion[] =>
  specVersions.filter((version) => trials.some((trial) => trial.version === version));

const escapeCell = (text: string): string => text.replaceAll('|', '\\|');

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
