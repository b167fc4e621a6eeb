import type { Style } from '../terminal.ts';

/** How a piece of a line looks. */
export type Tone = 'plain' | 'bold' | 'dim' | 'red' | 'green';

/** A piece of a line that is never broken. */
export interface Cell {
  text: string;
  tone?: Tone;
}

/** A line of the picture and what hangs below it. */
export interface Branch {
  cells: Cell[];
  children?: Branch[];
}

/**
 * Draws trees one below the other, an empty line between them. Where the lines of siblings fit into
 * `width` columns their cells begin in the same columns; where not, each is broken between cells and goes
 * on below its second cell. A cell wider than the rest is not broken.
 */
export const renderTrees = (trees: Branch[], width: number, style: Style): string =>
  trees.map((tree) => renderBranch(tree, '', '', [], width, style)).join('\n');

const renderBranch = (
  { cells, children = [] }: Branch,
  head: string,
  tail: string,
  columns: number[],
  width: number,
  style: Style,
): string => {
  const below = tail + (children.length > 0 ? '│' : ' ');
  const lines = layOut(cells, columns, width - head.length).map((line, index) => {
    const text = line.cells.map((cell, at) => paint(cell, line.pads[at] ?? 0, style)).join('');
    const lead = index === 0 ? head : `${below}${' '.repeat(line.indent - 1)}`;
    return `${style.dim(lead)}${text}`.trimEnd();
  });
  const aligned = alignedColumns(children, width - tail.length - 3);
  const rest = children.map((child, index) => {
    const last = index === children.length - 1;
    const [childHead, childTail] = [`${tail}${last ? '└─ ' : '├─ '}`, `${tail}${last ? '   ' : '│  '}`];
    return renderBranch(child, childHead, childTail, aligned, width, style);
  });
  return `${lines.join('\n')}\n${rest.join('')}`;
};

interface Line {
  indent: number;
  cells: Cell[];
  /** How wide each cell is made, the space behind it included. */
  pads: number[];
}

const GAP = 2;

/** The widths of the columns if all siblings' lines fit; else none. */
const alignedColumns = (siblings: Branch[], width: number): number[] => {
  const rows = siblings.filter(({ cells }) => cells.length > 1);
  const columns: number[] = [];
  for (const { cells } of rows) {
    for (const [index, { text }] of cells.entries()) {
      // The last cell of a line does not hold the others off.
      const last = index === cells.length - 1;
      columns[index] = Math.max(columns[index] ?? 0, last ? 0 : text.length + GAP);
    }
  }
  const fits = rows.every(({ cells }) => {
    const before = columns.slice(0, cells.length - 1).reduce((sum, column) => sum + column, 0);
    return before + (cells.at(-1)?.text.length ?? 0) <= width;
  });
  return fits ? columns : [];
};

const layOut = (cells: Cell[], columns: number[], width: number): Line[] => {
  const hanging = 4;
  const lines: Line[] = [{ indent: 0, cells: [], pads: [] }];
  let used = 0;
  for (const [index, cell] of cells.entries()) {
    const last = index === cells.length - 1;
    const pad = last ? cell.text.length : Math.max(cell.text.length + GAP, columns[index] ?? 0);
    const current = lines.at(-1) as Line;
    if (current.cells.length > 0 && used + cell.text.length > width) {
      lines.push({ indent: hanging, cells: [cell], pads: [pad] });
      used = hanging + pad;
      continue;
    }
    current.cells.push(cell);
    current.pads.push(pad);
    used += pad;
  }
  return lines;
};

const paint = ({ text, tone = 'plain' }: Cell, width: number, style: Style): string => {
  const padding = ' '.repeat(Math.max(0, width - text.length));
  return (tone === 'plain' ? text : style[tone](text)) + padding;
};
