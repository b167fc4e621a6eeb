/** Whether one party reached another by these families; undefined where it is not asked. */
export type Reached = Partial<Record<'4' | '6', boolean>> | undefined;

/**
 * A table of who reached whom: in each cell the families by which it went as it should (`4`, `6`), an `x` for
 * each by which it did not, and a dot where nobody asked.
 */
export const renderMatrix = (
  rows: string[],
  columns: string[],
  reached: (row: string, column: string) => Reached,
): string => {
  const first = Math.max(...rows.map(({ length }) => length));
  const line = (head: string, cells: string[]): string =>
    [
      head.padEnd(first),
      ...cells.map((cell, index) => cell.padStart(Math.max(2, columns[index]?.length ?? 0))),
    ].join('  ');
  return [
    line('', columns),
    ...rows.map((row) =>
      line(
        row,
        columns.map((column) => cellOf(reached(row, column))),
      ),
    ),
  ].join('\n');
};

const cellOf = (reached: Reached): string => {
  if (reached === undefined) return '·';
  return Object.entries(reached)
    .map(([family, well]) => (well ? family : 'x'))
    .join('');
};
