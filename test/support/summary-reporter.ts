import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

/**
 * Prints every skipped test with its reason and, as the last line, `N passed, N failed, N skipped`.
 * A file that could not be loaded, a failing hook and an error outside of any test count as failed.
 */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    process.stdout.write(summarise(modules, unhandledErrors.length));
  }
}

const summarise = (modules: readonly TestModule[], unhandledErrors: number): string => {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const passed = tests.filter((test) => test.result().state === 'passed').length;
  const failed = tests.filter((test) => test.result().state === 'failed').length;
  const skipped = tests.filter((test) => !['passed', 'failed'].includes(test.result().state));
  // A suite's own errors are those of its hooks, a module's those of loading it.
  const suites = modules.flatMap((module) => [...module.children.allSuites()]);
  const broken = [...modules, ...suites].filter((suite) => suite.errors().length > 0).length;
  const lines = skipped.map(
    (test) => `skipped: ${test.module.relativeModuleId}: ${test.fullName}: ${reason(test)}`,
  );
  const totals = `${passed} passed, ${failed + broken + unhandledErrors} failed, ${skipped.length} skipped`;
  return `\n${[...lines, totals].join('\n')}\n`;
};

const reason = (test: TestCase): string => {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  return note ?? 'NO REASON GIVEN (deselected, marked skip, or never reached)';
};
