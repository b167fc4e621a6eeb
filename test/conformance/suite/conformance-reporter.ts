import { writeFileSync } from 'node:fs';
import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { allCases } from '../cases/all.ts';
import { requirements } from '../requirements.ts';
import { conformanceMatrix, countOutcomes, type TrialOutcome } from './matrix.ts';

/**
 * For scripts/conformance: a progress line, each failure when it happens, and a table of what passed. Writes
 * the matrix to the file that CONFORMANCE_MARKDOWN names.
 */
export default class ConformanceReporter implements Reporter {
  #registered = 0;
  #ended = 0;

  onTestModuleCollected(module: TestModule): void {
    this.#registered += [...module.children.allTests()].length;
  }

  onTestCaseResult(test: TestCase): void {
    this.#ended += 1;
    const result = test.result();
    if (result.state === 'failed') {
      clearLine();
      const message = result.errors.map((error) => error.message).join('\n    ');
      process.stdout.write(`FAILED ${test.fullName}\n    ${message}\n`);
    }
    this.#progress(test.fullName);
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    clearLine();
    const broken = [...modules.flatMap((module) => module.errors()), ...errors];
    for (const error of broken) process.stdout.write(`FAILED ${error.message}\n`);
    const trials = modules.flatMap((module) => [...module.children.allTests()].flatMap(trialOf));
    process.stdout.write(summary(trials));
    const file = process.env.CONFORMANCE_MARKDOWN;
    if (file !== undefined) writeFileSync(file, document(trials));
  }

  /** One line that is written over on a terminal, a line for every 500 trials elsewhere. */
  #progress(title: string): void {
    const count = `${this.#ended}/${this.#registered}`;
    if (process.stdout.isTTY) {
      const width = (process.stdout.columns ?? 80) - 1;
      process.stdout.write(`\r\x1b[K${`${count} ${title}`.slice(0, width)}`);
    } else if (this.#ended % 500 === 0) {
      process.stdout.write(`${count} trials\n`);
    }
  }
}

const clearLine = (): void => {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
};

const trialOf = (test: TestCase): TrialOutcome[] => {
  const { conformance } = test.meta();
  if (conformance === undefined) return [];
  const { state } = test.result();
  const outcome = state === 'passed' && conformance.known !== undefined ? 'known' : state;
  return outcome === 'pending' ? [] : [{ ...conformance, outcome }];
};

/** A line for each plugin of each directory. */
const summary = (trials: readonly TrialOutcome[]): string => {
  const keys = [...new Set(trials.map(({ subject, plugin }) => `${subject}: ${plugin}`))].toSorted();
  const width = Math.max(0, ...keys.map((key) => key.length));
  const line = (title: string, chosen: readonly TrialOutcome[]): string => {
    const { passed, failed, known, skipped } = countOutcomes(chosen);
    return `${title.padEnd(width)}  ${passed} passed, ${failed} failed, ${known} failed as known, ${skipped} skipped\n`;
  };
  const lines = keys.map((key) =>
    line(
      key,
      trials.filter(({ subject, plugin }) => `${subject}: ${plugin}` === key),
    ),
  );
  return `\n${lines.join('')}${line('all', trials)}`;
};

const document = (trials: readonly TrialOutcome[]): string => `# Conformance

What \`scripts/conformance\` found, requirement by requirement and plugin by plugin. A tick alone stands for
every version of the specification that the plugin announces; versions beside a mark are those that it is
about, because the requirement begins there or the outcomes differ. ✗ is a failure that is listed as known;
an empty cell means that the requirement does not concern the plugin. \`must\`, \`should\` and \`may\` are the
specification's words, \`practice\` is what runtimes have come to depend on beside it.

${conformanceMatrix({ trials, requirements, cases: allCases })}`;
