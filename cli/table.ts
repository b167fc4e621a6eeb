import type { Style } from './terminal.ts';

/** One part of what is shown: a label and its rows of cells. */
export interface Section {
  label: string;
  rows: string[][];
}

/**
 * Sections one below the other with their labels in a column of their own, and the cells of each
 * section aligned. Sections without rows are left out. Ends with a newline unless there is nothing.
 */
export const renderSections = (sections: Section[], style: Style): string => {
  const shown = sections.filter(({ rows }) => rows.length > 0);
  const width = Math.max(0, ...shown.map(({ label }) => label.length));
  return shown
    .flatMap(({ label, rows }) =>
      align(rows).map((row, index) => {
        const head = (index === 0 ? label : '').padEnd(width);
        return `  ${style.dim(head)}  ${row}\n`;
      }),
    )
    .join('');
};

/** Rows as lines whose cells begin in the same columns, two spaces apart; what only colours takes no room. */
const align = (rows: string[][]): string[] => {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, Bun.stringWidth(cell));
    }
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - Bun.stringWidth(cell)))
      .join('  ')
      .trimEnd(),
  );
};
