import type { Figures } from '../../test/faults/runner/run.ts';

/** The head of the Markdown table that `figureLine` makes the lines of. */
export const heading = [
  '| row | verb | steps of the plugin | of its tools | hits | ended by them | clean afterwards | failures |',
  '|:----|:-----|--------------------:|-------------:|-----:|--------------:|-----------------:|---------:|',
].join('\n');

/** One line of it. */
export const figureLine = (title: string, verb: string, figures: Figures): string => {
  const { pluginSteps, toolSteps, hits, took, clean, failures } = figures;
  return `| ${[title, verb, pluginSteps, toolSteps, hits, took, clean, failures.length].join(' | ')} |`;
};

/** The sum of several rows. */
export const total = (rows: readonly Figures[]): Figures => {
  const sum = (of: (row: Figures) => number) => rows.reduce((value, row) => value + of(row), 0);
  return {
    pluginSteps: sum(({ pluginSteps }) => pluginSteps),
    toolSteps: sum(({ toolSteps }) => toolSteps),
    hits: sum(({ hits }) => hits),
    took: sum(({ took }) => took),
    clean: sum(({ clean }) => clean),
    failures: rows.flatMap(({ failures }) => failures),
  };
};
