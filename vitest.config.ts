import { defineConfig } from 'vitest/config';
import { SummaryReporter } from './test/support/summary-reporter.ts';

const needsKernel = ['test/**/*.test.ts', '**/*.kernel.test.ts'];
const never = ['**/node_modules/**', '**/dist/**'];
const timeouts = { testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    reporters: ['default', new SummaryReporter()],
    projects: [
      {
        test: { name: 'pure', include: ['**/*.test.ts'], exclude: [...never, ...needsKernel], ...timeouts },
      },
      {
        // Each starts processes and namespaces of its own; more at once only makes timings worse.
        test: {
          name: 'kernel',
          include: needsKernel,
          exclude: never,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...timeouts,
        },
      },
    ],
  },
});
